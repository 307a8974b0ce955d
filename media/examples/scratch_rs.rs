#![allow(clippy::all, clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]
use tandem_media::resample::*;
use tandem_media::vad::*;
use tandem_media::Time;
use tandem_media::leg::VadSettings;
fn main() {
    for (from, to) in [(8000u32,16000u32),(16000,8000),(8000,48000),(48000,8000),(48000,16000),(24000,8000),(22050,8000),(44100,16000),(16000,24000)] {
        for hz in [300.0f64, 1000.0, 3000.0, 3400.0, 3600.0, 5000.0] {
            if hz * 2.0 >= from as f64 { continue; }
            let n = from as usize;
            let pcm: Vec<i16> = (0..n).map(|i| (8000.0 * (std::f64::consts::TAU * hz * i as f64 / from as f64).sin()).round() as i16).collect();
            let out = resample(&pcm, from, to).unwrap();
            let w = std::f64::consts::TAU * hz / to as f64;
            let (a, b) = (out.len() / 4, out.len() * 3 / 4);
            // least squares
            let (mut ss, mut cc, mut sc, mut ys, mut yc, mut yy) = (0.0,0.0,0.0,0.0,0.0,0.0);
            for i in a..b { let (s,c)=((w*i as f64).sin(),(w*i as f64).cos()); let y=out[i] as f64; ss+=s*s;cc+=c*c;sc+=s*c;ys+=y*s;yc+=y*c;yy+=y*y; }
            let det = ss*cc-sc*sc; let p=(ys*cc-yc*sc)/det; let q=(yc*ss-ys*sc)/det;
            let mut err=0.0; for i in a..b { let e=out[i] as f64 - p*(w*i as f64).sin()-q*(w*i as f64).cos(); err+=e*e; }
            println!("{from}->{to} {hz}: len {} gain {:.2} dB phase {:.4} snr {:.1} (level {:.1})", out.len(), 20.0*((p*p+q*q).sqrt()/8000.0).log10(), q.atan2(p), 10.0*(((p*p+q*q)/2.0*(b-a) as f64)/err).log10(), 10.0*(yy/(b-a) as f64/3.2e7).log10());
        }
    }
    println!("tone pairs: share of frames >= .5 within a second of words (200 ms, gap 40), 8 kHz");
    for f1 in (300..=1500).step_by(150) {
        print!("{f1:5}: ");
        for f2 in (1400..=3400).step_by(200) {
            let mut d = EarshotDetector::new(8000, VadSettings::default()).unwrap();
            let mut pcm = vec![0i16; 8000];
            for _ in 0..5 { for i in 0..1600 { let e = (i as f64/80.0).min((1599-i) as f64/80.0).min(1.0); let t=i as f64/8000.0*std::f64::consts::TAU; pcm.push((8230.0*e*((t*f1 as f64).sin()+(t*f2 as f64).sin())) as i16);} pcm.extend([0;320]); }
            pcm.extend([0;4000]);
            let (mut hi, mut n, mut edge) = (0,0,0);
            for (i,c) in pcm.chunks(160).enumerate() { if let Some(VadEdge::Started{at,..}) = d.push(Time::from_millis(i as u64*20+20), c) { if edge==0 {edge=at.as_millis()-1000;} } if i>=55&&i<110 { n+=1; if d.score()>=0.5 {hi+=1;} } }
            print!("{:3}%/{:4} ", hi*100/n, edge);
        }
        println!();
    }
}
