//! The export macros: they do something on the WebAssembly target only, so that a plugin crate
//! also compiles, and is tested, natively.

use std::sync::Once;

use crate::host::{self, Level};

/// Sends a panic's message to the host's log before the trap ends the instance.
pub(crate) fn report_panics() {
    static ONCE: Once = Once::new();
    if cfg!(target_arch = "wasm32") {
        ONCE.call_once(|| {
            std::panic::set_hook(Box::new(|info| host::log(Level::Error, &info.to_string())));
        });
    }
}

/// Exports a type that implements [`Connector`](crate::Connector) as the crate's component.
#[macro_export]
macro_rules! export_connector {
    ($connector:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = $crate::internal::connector::Component<$connector>;
            $crate::bindings::connector::export_connector_world!(
                Exported with_types_in $crate::bindings::connector
            );
            $crate::__export_entropy!();
        };
    };
}

/// Exports a type that implements [`Transform`](crate::Transform) as the crate's component.
#[macro_export]
macro_rules! export_transform {
    ($transform:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = $crate::internal::transform::Component<$transform>;
            $crate::bindings::transform::export_transform_world!(
                Exported with_types_in $crate::bindings::transform
            );
            $crate::__export_entropy!();
        };
    };
}

/// Exports a type that implements [`Sink`](crate::Sink) as the crate's component.
#[macro_export]
macro_rules! export_sink {
    ($sink:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = $crate::internal::sink::Component<$sink>;
            $crate::bindings::sink::export_sink_world!(
                Exported with_types_in $crate::bindings::sink
            );
            $crate::__export_entropy!();
        };
    };
}

/// Lets crates that use `getrandom` (0.3 and later) draw from the host. The error's type matters:
/// with another one the linker puts a trap in this function's place.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_entropy {
    () => {
        #[unsafe(no_mangle)]
        unsafe extern "Rust" fn __getrandom_v03_custom(
            destination: *mut u8,
            len: usize,
        ) -> Result<(), $crate::internal::EntropyError> {
            const MOST: usize = 65_536;
            let mut done = 0;
            while done < len {
                let bytes = $crate::host::random_bytes((len - done).min(MOST) as u32);
                // SAFETY: getrandom hands over `len` writable bytes.
                unsafe {
                    destination.add(done).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                }
                done += bytes.len();
            }
            Ok(())
        }
    };
}
