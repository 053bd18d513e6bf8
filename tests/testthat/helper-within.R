# Doctors with popular hours: the slope within a doctor is not that between doctors.
surgery <- local({
  set.seed(8)
  d <- data.frame(doctor = factor(rep(1:12, each = 15)))
  popular <- rnorm(12, 12, 2)
  d$hour <- popular[d$doctor] + rnorm(180)
  d$score <- 2 + popular[d$doctor] - 0.8 * (d$hour - popular[d$doctor]) + rnorm(180)
  d$clinic <- factor(rep(1:4, each = 45))
  d$nurse <- factor(rep_len(c("a", "b", "c", "d", "e"), 180))
  d
})
