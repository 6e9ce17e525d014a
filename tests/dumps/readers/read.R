# Print what a package of R reads of the datasets of a dump, a line for each.
arguments <- commandArgs(TRUE)
library(arguments[1], character.only = TRUE)
path <- arguments[2]
read <- switch(arguments[1],
  rhdf5 = function(name) h5read(path, name, bit64conversion = "double"),
  hdf5r = local({ file <- H5File$new(path, "r"); function(name) file[[name]]$read() }),
  ncdf4 = local({ file <- nc_open(path); function(name) ncvar_get(file, name) })
)
if (arguments[1] == "rhdf5") invisible(h5ls(path, all = TRUE))
for (name in arguments[-(1:2)]) {
  values <- read(name)
  texts <- if (is.character(values)) values else sprintf("%.17g", as.numeric(values))
  cat(paste(c(name, texts), collapse = "\t"), "\n", sep = "")
}
