// What R asks of JDBC, many values at a time: a call of Java for each cell would take minutes.
//
// Each step runs in a thread of its own, so that R can wait for it in small pieces, and cancel it.
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;

public class Rows implements Runnable {
  // R's missing number
  private static final double MISSING = Double.longBitsToDouble(0x7FF00000000007A2L);

  private final Statement statement;
  private final String query;
  private final Object[] columns;
  private ResultSet result;
  private int[] kinds;
  private String[] names;
  private int wanted;
  private int found;
  private boolean complete;
  private Throwable failure;
  private Thread thread;

  public Rows(Connection connection, String query) throws SQLException {
    this.query = query;
    this.columns = new Object[1];
    statement = connection.createStatement();
    statement.setFetchSize(10000);
  }

  // Begins: the query if it has not begun, else up to `count` rows of its answer.
  public void begin(int count) {
    wanted = count;
    failure = null;
    thread = new Thread(this);
    thread.setDaemon(true);
    thread.start();
  }

  // Has what began come to its end, within some milliseconds?
  public boolean ended(int milliseconds) throws InterruptedException {
    thread.join(milliseconds);
    return !thread.isAlive();
  }

  // What went wrong; null where nothing did
  public String failed() {
    if (failure == null) {
      return null;
    }
    return failure.getMessage() == null ? failure.toString() : failure.getMessage();
  }

  public void run() {
    try {
      if (kinds == null) {
        execute();
      } else {
        fetch();
      }
    } catch (Throwable e) {
      failure = e;
    }
  }

  private void execute() throws SQLException {
    if (!statement.execute(query)) {
      kinds = new int[0];
      names = new String[0];
      complete = true;
      return;
    }
    result = statement.getResultSet();
    ResultSetMetaData about = result.getMetaData();
    int n = about.getColumnCount();
    int[] types = new int[n];
    names = new String[n];
    for (int k = 0; k < n; k++) {
      names[k] = about.getColumnLabel(k + 1);
      types[k] = kind(about.getColumnType(k + 1));
    }
    kinds = types;
  }

  // How R has a type: 0 double, 1 integer, 2 logical, 3 text, 4 date, 5 point in time
  private static int kind(int type) {
    switch (type) {
      case Types.TINYINT:
      case Types.SMALLINT:
      case Types.INTEGER:
        return 1;
      case Types.BIGINT:
      case Types.FLOAT:
      case Types.REAL:
      case Types.DOUBLE:
      case Types.NUMERIC:
      case Types.DECIMAL:
        return 0;
      case Types.BIT:
      case Types.BOOLEAN:
        return 2;
      case Types.DATE:
        return 4;
      case Types.TIMESTAMP:
        return 5;
      default:
        return 3;
    }
  }

  private void fetch() throws SQLException {
    int n = kinds.length;
    Object[] filled = new Object[n];
    int room = Math.min(wanted, 4096);
    for (int k = 0; k < n; k++) {
      filled[k] = kinds[k] == 3 ? (Object) new String[room] : (Object) new double[room];
    }
    int rows = 0;
    while (rows < wanted) {
      if (!result.next()) {
        complete = true;
        break;
      }
      if (rows == room) {
        room = Math.min(wanted, 2 * room);
        for (int k = 0; k < n; k++) {
          filled[k] = resized(filled[k], room);
        }
      }
      for (int k = 0; k < n; k++) {
        if (kinds[k] == 3) {
          ((String[]) filled[k])[rows] = result.getString(k + 1);
        } else {
          double value = number(k);
          ((double[]) filled[k])[rows] = result.wasNull() ? MISSING : value;
        }
      }
      rows++;
    }
    for (int k = 0; k < n; k++) {
      filled[k] = resized(filled[k], rows);
    }
    found = rows;
    columns[0] = filled;
  }

  private double number(int k) throws SQLException {
    if (kinds[k] == 2) {
      return result.getBoolean(k + 1) ? 1.0 : 0.0;
    }
    if (kinds[k] == 4) {
      java.sql.Date day = result.getDate(k + 1);
      return day == null ? MISSING : (double) day.toLocalDate().toEpochDay();
    }
    if (kinds[k] == 5) {
      java.sql.Timestamp time = result.getTimestamp(k + 1);
      return time == null ? MISSING : Math.floorDiv(time.getTime(), 1000L) + time.getNanos() / 1e9;
    }
    return result.getDouble(k + 1);
  }

  private static Object resized(Object values, int size) {
    if (values instanceof String[]) {
      String[] texts = new String[size];
      System.arraycopy((String[]) values, 0, texts, 0, Math.min(size, ((String[]) values).length));
      return texts;
    }
    double[] numbers = new double[size];
    System.arraycopy((double[]) values, 0, numbers, 0, Math.min(size, ((double[]) values).length));
    return numbers;
  }

  public int[] kinds() {
    return kinds;
  }

  public String[] names() {
    return names;
  }

  public int found() {
    return found;
  }

  public boolean complete() {
    return complete;
  }

  // Columns of the rows that came last, counted from 0
  public double[] numbers(int k) {
    return (double[]) ((Object[]) columns[0])[k];
  }

  public String[] texts(int k) {
    return (String[]) ((Object[]) columns[0])[k];
  }

  public int changed() throws SQLException {
    return Math.max(0, statement.getUpdateCount());
  }

  public void cancel() throws SQLException {
    statement.cancel();
  }

  public void close() throws SQLException {
    statement.close();
  }
}
