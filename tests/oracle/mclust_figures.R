# Writes mclust-faithful.json and mclust-iris.json: mclust's em() after 1 and at most 25 iterations from fixed starts.
#
# em() does one E-step with the given parameters, then up to itmax times an M-step and an E-step; loglik is that
# of the parameters it returns. With tol = 0 it stops early only where loglik repeats itself to the last bit
# (well-separated components, after 6 to 22 iterations); tol < 0 is the same. info holds how many iterations it
# did, negative if itmax ended it; as many are recorded. One run gives one value of the trace.
suppressMessages(library(mclust))

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)))
iris_columns <- c("Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width")
ellipse <- function(a, b, ab) matrix(c(a, ab, ab, b), 2)
rounded <- function(...) diag(c(...)) + 0.05
# Two components for faithful and three for iris are the starts of sklearn_figures.py.
starts <- list(
  faithful = list(
    columns = c("eruptions", "waiting"),
    list(weights = c(0.4, 0.6), means = rbind(c(2.5, 60), c(4, 75)),
         covariances = list(ellipse(0.5, 50, 1), ellipse(0.25, 64, -0.5))),
    list(weights = c(0.3, 0.3, 0.4), means = rbind(c(2, 52), c(3.5, 70), c(4.4, 82)),
         covariances = list(ellipse(0.2, 40, 1), ellipse(0.5, 64, -0.5), ellipse(0.3, 30, 0.5)))),
  iris = list(
    columns = iris_columns,
    list(weights = c(0.4, 0.6), means = rbind(c(5.2, 3.2, 2, 0.5), c(6.2, 2.9, 4.6, 1.5)),
         covariances = list(rounded(0.2, 0.15, 0.3, 0.1), rounded(0.4, 0.1, 0.5, 0.2))),
    list(weights = c(0.25, 0.35, 0.4),
         means = rbind(c(5.2, 3.2, 2, 0.5), c(5.8, 2.9, 4, 1.2), c(6.4, 3, 5.2, 1.8)),
         covariances = list(rounded(0.2, 0.15, 0.3, 0.1), rounded(0.3, 0.1, 0.4, 0.1), rounded(0.4, 0.1, 0.5, 0.2)))))
models <- c(full = "VVV", tied = "EEE", diag = "VVI", spherical = "VII")

# A start under the model's constraint, as mclust's parameters; K full matrices stand in variance$sigma.
constrained <- function(model, start) {
  k <- length(start$weights)
  d <- ncol(start$means)
  sigma <- switch(model,
    VVV = start$covariances,
    EEE = rep(list(Reduce(`+`, Map(`*`, start$weights, start$covariances))), k),
    VVI = lapply(start$covariances, function(s) diag(diag(s))),
    VII = lapply(start$covariances, function(s) mean(diag(s)) * diag(d)))
  own <- switch(model,
    VVV = list(cholsigma = simplify2array(lapply(sigma, chol))),
    EEE = list(Sigma = sigma[[1]], cholSigma = chol(sigma[[1]])),
    VVI = {
      variances <- sapply(sigma, diag)
      scale <- apply(variances, 2, prod)^(1 / d)
      list(scale = scale, shape = sweep(variances, 2, scale, "/"))
    },
    VII = list(sigmasq = sapply(sigma, `[`, 1), scale = sapply(sigma, `[`, 1)))
  list(pro = start$weights, mean = t(start$means),
       variance = c(list(modelName = model, d = d, G = k, sigma = simplify2array(sigma)), own))
}

# JSON of named lists, lists, matrices by rows and vectors, every number with the digits that bring it back.
json <- function(x) {
  join <- function(parts, open, close) paste0(open, paste(parts, collapse = ", "), close)
  if (!is.null(names(x))) join(paste0('"', names(x), '": ', sapply(x, json)), "{", "}")
  else if (is.list(x)) join(sapply(x, json), "[", "]")
  else if (is.matrix(x)) join(apply(x, 1, function(row) json(as.list(row))), "[", "]")
  else if (length(x) != 1) json(as.list(x))
  else if (is.character(x)) paste0('"', x, '"')
  else if (as.numeric(sprintf("%.15g", x)) == x) sprintf("%.15g", x)
  else sprintf("%.17g", x)
}
shape <- function(parameters) {
  k <- length(parameters$pro)
  list(weights = as.list(as.vector(parameters$pro)), means = unname(t(parameters$mean)),
       covariances = lapply(1:k, function(c) unname(parameters$variance$sigma[, , c])))
}

run <- function(x, type, start, itmax) {
  model <- models[[type]]
  k <- length(start$weights)
  from <- constrained(model, start)
  after <- function(i)
    em(x, modelName = model, parameters = from, control = emControl(itmax = c(i, i), tol = c(0, 0)))
  end <- after(itmax)
  n <- abs(attr(end, "info")[["iterations"]])
  steps <- lapply(1:n, after)
  stopifnot(sapply(steps, function(step) attr(step, "info")[["iterations"]]) == -(1:n),
            identical(steps[[n]]$parameters, end$parameters), identical(steps[[n]]$loglik, end$loglik))
  logliks <- c(estep(x, modelName = model, parameters = from)$loglik, sapply(steps, `[[`, "loglik"))
  list(model = model, covariance_type = type, iterations = n, start = shape(from), end = shape(end$parameters),
       trace = as.list(logliks / nrow(x)), loglik = end$loglik,
       bic = bic(model, end$loglik, nrow(x), ncol(x), k),
       n_parameters = nMclustParams(model, d = ncol(x), G = k),
       n_parameters_with_noise = nMclustParams(model, d = ncol(x), G = k, noise = TRUE))
}

for (name in names(starts)) {
  columns <- starts[[name]]$columns
  x <- as.matrix(read.csv(file.path(here, "..", "data", paste0(name, ".csv")))[, columns])
  runs <- list()
  for (start in starts[[name]][-1]) for (type in names(models)) for (itmax in c(1, 25))
    runs <- c(runs, json(run(x, type, start, itmax)))
  versions <- list(R = as.character(getRversion()), mclust = as.character(packageVersion("mclust")))
  writeLines(c(paste0('{"versions": ', json(versions), ","), paste0('"columns": ', json(columns), ","), '"runs": [',
               paste(runs, collapse = ",\n"), "]}"), file.path(here, paste0("mclust-", name, ".json")))
}
