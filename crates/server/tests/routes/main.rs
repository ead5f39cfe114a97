//! Every route that the server has, over a socket: what it declares is what holds.

#[cfg(test)]
mod asked;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod mass;
#[cfg(test)]
mod server;
