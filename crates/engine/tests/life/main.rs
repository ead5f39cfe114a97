//! The engine as an embedder has it: a store, a journal on a disk, a worker, and providers that do
//! what a test tells them.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod books;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod callers;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod store;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod targets;
#[cfg(test)]
mod world;
