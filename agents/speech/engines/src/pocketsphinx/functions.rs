//! The C functions and structures that are used.

use std::ffi::{c_char, c_float, c_int, c_void};

use crate::library::{LoadError, Opened};

const PACKAGE: &str = "libpocketsphinx3";
const BASE_PACKAGE: &str = "libsphinxbase3";

pub(super) type Decoder = *mut c_void;
pub(super) type Config = *mut c_void;
pub(super) type SegmentIterator = *mut c_void;

/// `feat_t` of `feat.h`, up to the member that is needed.
#[repr(C)]
pub(super) struct Feat {
    refcount: c_int,
    name: *const c_char,
    pub(super) cepsize: i32,
    n_stream: i32,
    stream_len: *const u32,
    window_size: i32,
    n_sv: i32,
    sv_len: *const u32,
    subvecs: *const c_void,
    sv_buf: *const c_float,
    sv_dim: i32,
    /// `cmn`, `varnorm`, `agc`: three enumerations of 32 bits.
    kinds: [c_int; 3],
    compute_feat: *const c_void,
    pub(super) cmn_struct: *mut Cmn,
}

/// `cmn_t` of `cmn.h`.
#[repr(C)]
pub(super) struct Cmn {
    cmn_mean: *const c_float,
    cmn_var: *const c_float,
    sum: *const c_float,
    nframe: i32,
    pub(super) veclen: i32,
}

/// Of `pocketsphinx.h`: decoders.
#[derive(Debug)]
pub(super) struct Functions {
    pub(super) args: unsafe extern "C" fn() -> *const c_void,
    pub(super) init: unsafe extern "C" fn(Config) -> Decoder,
    pub(super) free: unsafe extern "C" fn(Decoder) -> c_int,
    pub(super) add_word: unsafe extern "C" fn(Decoder, *const c_char, *const c_char, c_int) -> c_int,
    pub(super) set_jsgf_string: unsafe extern "C" fn(Decoder, *const c_char, *const c_char) -> c_int,
    pub(super) set_search: unsafe extern "C" fn(Decoder, *const c_char) -> c_int,
    pub(super) start_stream: unsafe extern "C" fn(Decoder) -> c_int,
    pub(super) start_utt: unsafe extern "C" fn(Decoder) -> c_int,
    pub(super) end_utt: unsafe extern "C" fn(Decoder) -> c_int,
    pub(super) process_raw: unsafe extern "C" fn(Decoder, *const i16, usize, c_int, c_int) -> c_int,
    pub(super) get_hyp: unsafe extern "C" fn(Decoder, *mut i32) -> *const c_char,
    pub(super) get_feat: unsafe extern "C" fn(Decoder) -> *mut Feat,
    pub(super) segments: SegmentFunctions,
    pub(super) base: BaseFunctions,
}

/// Of `pocketsphinx.h`: the words of a path.
#[derive(Debug)]
pub(super) struct SegmentFunctions {
    pub(super) seg_iter: unsafe extern "C" fn(Decoder) -> SegmentIterator,
    pub(super) seg_next: unsafe extern "C" fn(SegmentIterator) -> SegmentIterator,
    pub(super) seg_word: unsafe extern "C" fn(SegmentIterator) -> *const c_char,
    pub(super) seg_frames: unsafe extern "C" fn(SegmentIterator, *mut c_int, *mut c_int),
    pub(super) seg_prob: unsafe extern "C" fn(SegmentIterator, *mut i32, *mut i32, *mut i32) -> i32,
}

/// Of `cmd_ln.h` and `cmn.h`.
#[derive(Debug)]
pub(super) struct BaseFunctions {
    pub(super) config_parse: unsafe extern "C" fn(Config, *const c_void, i32, *const *const c_char, i32) -> Config,
    pub(super) config_free: unsafe extern "C" fn(Config) -> c_int,
    pub(super) cmn_get: unsafe extern "C" fn(*mut Cmn, *mut c_float),
    pub(super) cmn_set: unsafe extern "C" fn(*mut Cmn, *const c_float),
}

impl Functions {
    pub(super) fn open() -> Result<Self, LoadError> {
        let base = Opened::open("libsphinxbase.so.3", BASE_PACKAGE)?;
        let library = Opened::open("libpocketsphinx.so.3", PACKAGE)?;
        Self::silence(&base)?;
        // SAFETY: the types above are those of pocketsphinx.h, cmd_ln.h and cmn.h.
        unsafe {
            Ok(Self {
                args: library.function("ps_args")?,
                init: library.function("ps_init")?,
                free: library.function("ps_free")?,
                add_word: library.function("ps_add_word")?,
                set_jsgf_string: library.function("ps_set_jsgf_string")?,
                set_search: library.function("ps_set_search")?,
                start_stream: library.function("ps_start_stream")?,
                start_utt: library.function("ps_start_utt")?,
                end_utt: library.function("ps_end_utt")?,
                process_raw: library.function("ps_process_raw")?,
                get_hyp: library.function("ps_get_hyp")?,
                get_feat: library.function("ps_get_feat")?,
                segments: SegmentFunctions {
                    seg_iter: library.function("ps_seg_iter")?,
                    seg_next: library.function("ps_seg_next")?,
                    seg_word: library.function("ps_seg_word")?,
                    seg_frames: library.function("ps_seg_frames")?,
                    seg_prob: library.function("ps_seg_prob")?,
                },
                base: BaseFunctions {
                    config_parse: base.function("cmd_ln_parse_r")?,
                    config_free: base.function("cmd_ln_free_r")?,
                    cmn_get: base.function("cmn_live_get")?,
                    cmn_set: base.function("cmn_live_set")?,
                },
            })
        }
    }

    /// Takes the engine's log away, for the whole process, before any decoder is made.
    ///
    /// Its log is one global `FILE *`: each decoder with a log file of its own (`-logfn`) closes the file of the one before,
    /// under the hands of a thread that is writing to it. Without a callback no message gets that far.
    fn silence(base: &Opened) -> Result<(), LoadError> {
        // SAFETY: `void err_set_callback(err_cb_f, void *)` of err.h, where a null function is "no callback"; `err_set_logfp`
        // takes a `FILE *` or null for none.
        unsafe {
            let set_callback: unsafe extern "C" fn(*const c_void, *mut c_void) = base.function("err_set_callback")?;
            let set_file: unsafe extern "C" fn(*mut c_void) = base.function("err_set_logfp")?;
            set_callback(std::ptr::null(), std::ptr::null_mut());
            set_file(std::ptr::null_mut());
        }
        Ok(())
    }
}
