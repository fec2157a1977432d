//! The configurations the product was asked for with, as their documents print them but for certificates.
