//! Every endpoint as its description says: who gets in, who does not.

