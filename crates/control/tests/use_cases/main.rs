//! The use cases over a store in memory: what they allow, what they refuse, what they leave behind.

#[cfg(test)]
mod attenuation;
#[cfg(test)]
mod bootstrap;
#[cfg(test)]
mod desk;
#[cfg(test)]
mod key_changes;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod organizations;
#[cfg(test)]
mod people;
#[cfg(test)]
mod repetition;
#[cfg(test)]
mod roles;
#[cfg(test)]
mod teams;
#[cfg(test)]
mod tenants;
#[cfg(test)]
mod usage;
