//! The client over real sockets, against servers and resolvers that mean ill.

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod reach;
#[cfg(test)]
mod support;
