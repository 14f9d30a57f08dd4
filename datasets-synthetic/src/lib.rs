//! Published contracts and invented data
