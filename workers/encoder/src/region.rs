//! A part of a window, as a few rectangles that do not overlap.

use ipc::{Rect, Size};

/// More rectangles than this become one that holds them all.
const MAX_RECTS: usize = 32;

/// A part of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Region(Vec<Rect>);

impl Region {
    /// All of a window.
    #[must_use]
    pub fn whole(window: Size) -> Self {
        Self(vec![window.rect()])
    }

    /// Nothing of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a rectangle; the region may get larger than the sum, never smaller.
    pub fn add(&mut self, rect: Rect) {
        self.subtract(rect);
        self.0.push(rect);
        if self.0.len() > MAX_RECTS {
            let all = self.0.iter().copied().reduce(Rect::union);
            self.0 = all.into_iter().collect();
        }
    }

    /// Takes a rectangle away, exactly.
    pub fn subtract(&mut self, rect: Rect) {
        self.0 = self
            .0
            .iter()
            .flat_map(|own| difference(*own, rect))
            .flatten()
            .collect();
    }

    /// Takes away what is outside of a window of this size.
    pub fn clip(&mut self, window: Size) {
        self.0 = self.0.iter().filter_map(|rect| rect.clip(window)).collect();
    }

    /// The rectangles.
    #[must_use]
    pub fn rects(&self) -> &[Rect] {
        &self.0
    }
}

/// The rectangle between two corners, if it is one.
fn between(left: u32, top: u32, right: u32, bottom: u32) -> Option<Rect> {
    let size = Size::new(right.checked_sub(left)?, bottom.checked_sub(top)?)?;
    Some(Rect {
        x: left.try_into().ok()?,
        y: top.try_into().ok()?,
        size,
    })
}

/// Above, below, left of and right of `b`, what is left of `a`.
fn difference(a: Rect, b: Rect) -> [Option<Rect>; 4] {
    let (ax, ay, bx, by) = (
        u32::from(a.x),
        u32::from(a.y),
        u32::from(b.x),
        u32::from(b.y),
    );
    let (left, top) = (ax.max(bx), ay.max(by));
    let (right, bottom) = (a.right().min(b.right()), a.bottom().min(b.bottom()));
    if left >= right || top >= bottom {
        return [Some(a), None, None, None];
    }
    [
        between(ax, ay, a.right(), top),
        between(ax, bottom, a.right(), a.bottom()),
        between(ax, top, left, bottom),
        between(right, top, a.right(), bottom),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIDE: usize = 40;

    fn rects() -> impl Strategy<Value = Rect> {
        (0..30_u16, 0..30_u16, 1..=10_u32, 1..=10_u32).prop_map(|(x, y, w, h)| Rect {
            x,
            y,
            size: Size::new(w, h).unwrap(),
        })
    }

    fn paint(map: &mut [bool], rect: Rect, value: bool) {
        for y in usize::from(rect.y)..(rect.bottom() as usize).min(SIDE) {
            for x in usize::from(rect.x)..(rect.right() as usize).min(SIDE) {
                map[y * SIDE + x] = value;
            }
        }
    }

    proptest! {
        #[test]
        fn as_a_bitmap_would_be(steps in proptest::collection::vec((any::<bool>(), rects()), 1..25)) {
            let (mut region, mut map) = (Region::default(), vec![false; SIDE * SIDE]);
            for (add, rect) in steps {
                let many = region.rects().len() + 1 > MAX_RECTS;
                if add { region.add(rect) } else { region.subtract(rect) }
                paint(&mut map, rect, add);
                prop_assert!(region.rects().len() <= 4 * MAX_RECTS + 4);
                let mut own = vec![false; SIDE * SIDE];
                for rect in region.rects() { paint(&mut own, *rect, true); }
                if many || region.rects().len() == 1 {
                    // It may have become one rectangle that holds all.
                    prop_assert!(map.iter().zip(&own).all(|(m, o)| *o || !*m));
                    map = own;
                } else {
                    prop_assert_eq!(&map, &own);
                }
            }
            region.subtract(Size::new(64, 64).unwrap().rect());
            prop_assert!(region.is_empty());
        }

        #[test]
        fn clipping_leaves_what_is_inside(all in proptest::collection::vec(rects(), 1..20), w in 1..40_u32, h in 1..40_u32) {
            let window = Size::new(w, h).unwrap();
            let mut region = Region::default();
            all.iter().for_each(|rect| region.add(*rect));
            region.clip(window);
            prop_assert!(region.rects().iter().all(|rect| rect.fits(window)));
        }
    }

    #[test]
    fn the_largest_coordinates() {
        let far = Rect {
            x: u16::MAX,
            y: u16::MAX,
            size: Size::new(16384, 16384).unwrap(),
        };
        let mut region = Region::default();
        region.add(far);
        region.add(Rect {
            x: 0,
            y: 0,
            size: Size::new(1, 1).unwrap(),
        });
        region.subtract(far);
        assert_eq!(region.rects().len(), 1);
        region.clip(Size::new(1, 1).unwrap());
        assert_eq!(region.rects().len(), 1);
    }
}
