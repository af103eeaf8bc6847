//! Templates: what is imported comes out again, all of it or nothing is made, and nobody sees another's companies.

mod over_http;
mod pages;
mod round_trip;
