//! Ask: the whole way of one question
