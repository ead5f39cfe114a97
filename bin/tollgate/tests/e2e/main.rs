//! Tollgate from outside: the real process, real sockets, a provider that does what a test tells it.
//! Nothing here knows more of the gateway than its users do.

#[cfg(test)]
mod access_lines;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod backup;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod bad_requests;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod canary;
#[cfg(test)]
mod common;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod content_types;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod cross_origin;
#[cfg(test)]
mod fault_table;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod headers;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod models;
#[cfg(test)]
mod pass_through;
#[cfg(test)]
mod people;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod process;
#[cfg(test)]
mod sdk;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod slow_clients;
#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod strangers;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod trusted_proxies;
