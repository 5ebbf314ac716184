//! Pictures of data and mixtures as SVG text: scatter plots with ellipses, line charts.
//!
//! Takes plain numbers, names and a [`Mixture`](crate::mixture::Mixture); knows nothing of EM or devices.
//! The same input gives the same text. Component k has the same colour, [`color`]`(k)`, in every picture.

mod axes;
mod ellipse;
mod error;
mod frame;
mod legend;
mod lines;
mod palette;
mod plane;
mod scatter;
mod text;
#[cfg(test)]
mod xml;

pub use ellipse::Ellipse;
pub use error::PictureError;
pub use lines::LineChart;
pub use palette::color;
pub use scatter::Scatter;
