//! Does the diagnosis say what is true? Each test sets a scene, feeds it to the tracker, and
//! reads the findings.

mod calls;
mod causes;
mod findings;
mod limits;
mod places;
pub(crate) mod scene;
mod slow;
mod usage;
mod wording;
