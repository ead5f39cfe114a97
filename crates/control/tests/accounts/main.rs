//! People who sign in, over a store in memory and a clock that the test moves.

#[cfg(test)]
mod accept;
#[cfg(test)]
mod desk;
#[cfg(test)]
mod first_run;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod reset;
#[cfg(test)]
mod second_factor;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod tokens;
