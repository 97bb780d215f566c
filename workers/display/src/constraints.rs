//! Which sizes a window may have (ICCCM 4.1.2.3, `WM_NORMAL_HINTS`).

use ipc::display::SizeConstraints;

/// The size nearest to the wanted one, in pixels, that the application's hints allow: no larger
/// than wanted unless the smallest is.
///
/// Where hints contradict each other, the limits count before the steps, and these before the
/// ratio.
#[must_use]
pub fn constrain(hints: &SizeConstraints, wanted: (u16, u16)) -> (u16, u16) {
    // Each of the two stands for the other when that is missing, but not for the ratio.
    let least = hints.minimum.or(hints.base).unwrap_or((1, 1));
    let least = (least.0.max(1), least.1.max(1));
    let most = hints.maximum.unwrap_or((u16::MAX, u16::MAX));
    let most = (most.0.max(least.0), most.1.max(least.1));
    let limited = |size: (u16, u16)| (size.0.clamp(least.0, most.0), size.1.clamp(least.1, most.1));
    let (width, height) = limited(wanted);
    let (width, height) = limited(proportioned(hints, (width, height)));
    let Some(step) = hints.increment else {
        return (width, height);
    };
    let base = hints.base.or(hints.minimum).unwrap_or((0, 0));
    (
        stepped(width, base.0, step.0, least.0, most.0),
        stepped(height, base.1, step.1, least.1, most.1),
    )
}

/// With the longer side cut to what the ratios allow.
fn proportioned(hints: &SizeConstraints, (width, height): (u16, u16)) -> (u16, u16) {
    let base = hints.base.unwrap_or((0, 0));
    let (w, h) = (width.saturating_sub(base.0), height.saturating_sub(base.1));
    // Numerators and denominators are at most 32767 (see `properties`): the products fit.
    let cut = |side: u16, by: u64, per: u64| {
        let side = u64::from(side).saturating_mul(by) / per.max(1);
        u16::try_from(side).unwrap_or(u16::MAX)
    };
    let product = |side: u16, by: u32| u64::from(side).saturating_mul(u64::from(by));
    match (hints.minimum_aspect, hints.maximum_aspect) {
        (_, Some((x, y))) if product(w, y) > product(h, x) => {
            (base.0.saturating_add(cut(h, x.into(), y.into())), height)
        }
        (Some((x, y)), _) if product(w, y) < product(h, x) => {
            (width, base.1.saturating_add(cut(w, y.into(), x.into())))
        }
        _ => (width, height),
    }
}

/// The largest whole number of steps from the base that fits; a side between two limits where no
/// such number exists stays as it is.
fn stepped(side: u16, base: u16, step: u16, least: u16, most: u16) -> u16 {
    let step = step.max(1);
    let Some(beyond) = side.checked_sub(base) else {
        return side;
    };
    let down = side - beyond % step;
    if down >= least {
        return down;
    }
    down.checked_add(step)
        .filter(|up| *up <= most)
        .unwrap_or(side)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_terminal_has_whole_cells() {
        let xterm = SizeConstraints {
            minimum: Some((10, 17)),
            base: Some((4, 4)),
            increment: Some((6, 13)),
            ..SizeConstraints::default()
        };
        assert_eq!(constrain(&xterm, (400, 300)), (400, 290));
        assert_eq!(constrain(&xterm, (400, 290)), (400, 290));
        assert_eq!(constrain(&xterm, (399, 302)), (394, 290));
        assert_eq!(constrain(&xterm, (1, 1)), (10, 17));
    }

    #[test]
    fn the_limits_hold_and_base_and_minimum_stand_for_each_other() {
        let limits = SizeConstraints {
            minimum: Some((100, 50)),
            maximum: Some((200, 60)),
            ..SizeConstraints::default()
        };
        assert_eq!(constrain(&limits, (10, 1000)), (100, 60));
        let steps = SizeConstraints {
            increment: Some((7, 7)),
            ..limits
        };
        assert_eq!(constrain(&steps, (120, 59)), (114, 57), "from the minimum");
        let base = SizeConstraints {
            base: Some((30, 40)),
            ..SizeConstraints::default()
        };
        assert_eq!(constrain(&base, (1, 1)), (30, 40), "the smallest");
    }

    #[test]
    fn the_longer_side_gives_way_to_the_ratio() {
        let ratio = |minimum, maximum| SizeConstraints {
            minimum_aspect: Some(minimum),
            maximum_aspect: Some(maximum),
            ..SizeConstraints::default()
        };
        let square = ratio((1, 1), (1, 1));
        assert_eq!(constrain(&square, (300, 200)), (200, 200));
        assert_eq!(constrain(&square, (200, 300)), (200, 200));
        let video = ratio((4, 3), (16, 9));
        assert_eq!(constrain(&video, (1000, 90)), (160, 90));
        assert_eq!(constrain(&video, (400, 1000)), (400, 300));
        assert_eq!(constrain(&video, (150, 100)), (150, 100));
        let framed = SizeConstraints {
            base: Some((0, 20)),
            ..square
        };
        assert_eq!(
            constrain(&framed, (300, 120)),
            (100, 120),
            "without the base"
        );
    }

    #[test]
    fn steps_that_fit_between_no_limits_change_nothing() {
        let fixed = SizeConstraints {
            minimum: Some((101, 101)),
            maximum: Some((101, 101)),
            base: Some((0, 0)),
            increment: Some((10, 10)),
            ..SizeConstraints::default()
        };
        assert_eq!(constrain(&fixed, (500, 5)), (101, 101));
    }

    fn pairs() -> impl Strategy<Value = Option<(u16, u16)>> {
        proptest::option::of((0..=32767u16, 0..=32767u16))
    }

    fn ratios() -> impl Strategy<Value = Option<(u32, u32)>> {
        proptest::option::of((1..=32767u32, 1..=32767u32))
    }

    proptest! {
        #[test]
        fn no_hints_lead_out_of_the_limits(
            (minimum, maximum, base, increment) in (pairs(), pairs(), pairs(), pairs()),
            (minimum_aspect, maximum_aspect) in (ratios(), ratios()),
            wanted in any::<(u16, u16)>(),
        ) {
            let hints = SizeConstraints {
                minimum, maximum, base, increment, minimum_aspect, maximum_aspect, gravity: None,
            };
            let (width, height) = constrain(&hints, wanted);
            let least = minimum.or(base).unwrap_or((1, 1));
            let most = maximum.unwrap_or((u16::MAX, u16::MAX));
            prop_assert!(width >= least.0.max(1) && height >= least.1.max(1));
            prop_assert!(width <= most.0.max(least.0).max(1) && height <= most.1.max(least.1).max(1));
        }
    }
}
