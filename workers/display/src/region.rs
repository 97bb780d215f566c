//! What is damaged of one window, for one client: a short list of rectangles that holds every
//! damaged pixel, and perhaps some more.

use ipc::{Rect, Size};

/// Most rectangles in a region.
pub const MAX_RECTS: usize = 16;
/// Pixels that may be sent needlessly to save one rectangle.
const SLACK: u64 = 4096;

/// A bounded list of rectangles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Region {
    rects: Vec<Rect>,
}

fn area(rect: Rect) -> u64 {
    u64::from(rect.size.width()) * u64::from(rect.size.height())
}

/// Pixels of the union that are in neither.
fn waste(a: Rect, b: Rect) -> u64 {
    area(a.union(b)).saturating_sub(area(a) + area(b))
}

fn contains(outer: Rect, inner: Rect) -> bool {
    outer.x <= inner.x
        && outer.y <= inner.y
        && outer.right() >= inner.right()
        && outer.bottom() >= inner.bottom()
}

impl Region {
    /// The whole window.
    #[must_use]
    pub fn whole(window: Size) -> Self {
        Self {
            rects: vec![window.rect()],
        }
    }

    /// Nothing is damaged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rects.is_empty()
    }

    /// Adds a rectangle, as far as it is inside the window.
    pub fn add(&mut self, rect: Rect, window: Size) {
        let Some(mut rect) = rect.clip(window) else {
            return;
        };
        // Each round removes one rectangle or ends.
        loop {
            if self.rects.iter().any(|r| contains(*r, rect)) {
                return;
            }
            let close = |r: &Rect| contains(rect, *r) || waste(*r, rect) <= SLACK;
            match self.rects.iter().position(close) {
                Some(at) => rect = rect.union(self.rects.swap_remove(at)),
                None if self.rects.len() < MAX_RECTS => break,
                None => {
                    let nearest =
                        (0..self.rects.len()).min_by_key(|at| waste(self.rects[*at], rect));
                    if let Some(at) = nearest {
                        rect = rect.union(self.rects.swap_remove(at));
                    }
                }
            }
        }
        self.rects.push(rect);
    }

    /// Forgets what is outside a window that has become smaller.
    pub fn clip(&mut self, window: Size) {
        self.rects = self.rects.iter().filter_map(|r| r.clip(window)).collect();
    }

    /// How many rectangles there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rects.len()
    }

    /// Takes the next rectangle, with at most `max_bytes` bytes of pixels; what is below it stays.
    /// `None` when there is none, or when not even one row fits.
    pub fn take(&mut self, max_bytes: u32) -> Option<Rect> {
        let rect = *self.rects.first()?;
        let rows = (max_bytes / rect.size.stride()).min(rect.size.height().into());
        let band = Size::new(rect.size.width().into(), rows)?;
        let left = u32::from(rect.size.height()) - rows;
        match Size::new(rect.size.width().into(), left) {
            // The band ends inside the rectangle, whose bottom is at most 2 * MAX_SIDE.
            Some(size) => {
                let y = rect.y + band.height();
                self.rects[0] = Rect { x: rect.x, y, size };
            }
            None => {
                self.rects.remove(0);
            }
        }
        Some(Rect { size: band, ..rect })
    }

    /// Bytes of pixels of the next rectangle.
    #[must_use]
    pub fn next_bytes(&self) -> Option<u32> {
        self.rects.first().map(|r| r.size.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rect(x: u16, y: u16, w: u32, h: u32) -> Rect {
        Rect {
            x,
            y,
            size: Size::new(w, h).unwrap(),
        }
    }

    fn covers(region: &Region, x: u32, y: u32) -> bool {
        region.rects.iter().any(|r| {
            (u32::from(r.x)..r.right()).contains(&x) && (u32::from(r.y)..r.bottom()).contains(&y)
        })
    }

    #[test]
    fn neighbours_merge_and_distant_ones_do_not() {
        let window = Size::new(1000, 1000).unwrap();
        let mut region = Region::default();
        region.add(rect(0, 0, 10, 20), window);
        region.add(rect(10, 0, 10, 20), window);
        assert_eq!(region.rects, [rect(0, 0, 20, 20)]);
        region.add(rect(900, 900, 10, 10), window);
        assert_eq!(region.len(), 2);
        region.add(window.rect(), window);
        assert_eq!(region, Region::whole(window));
    }

    #[test]
    fn bands_are_taken_from_the_top() {
        let mut region = Region::whole(Size::new(100, 100).unwrap());
        assert_eq!(region.take(399), None);
        assert_eq!(region.take(30 * 400 + 399), Some(rect(0, 0, 100, 30)));
        assert_eq!(region.next_bytes(), Some(70 * 400));
        assert_eq!(region.take(u32::MAX), Some(rect(0, 30, 100, 70)));
        assert_eq!(region.take(u32::MAX), None);
    }

    proptest! {
        #[test]
        fn every_damaged_pixel_is_covered_and_the_list_is_short(
            rects in proptest::collection::vec((0..300u16, 0..300u16, 1..200u32, 1..200u32), 1..60),
        ) {
            let window = Size::new(256, 200).unwrap();
            let mut region = Region::default();
            for (x, y, w, h) in &rects {
                region.add(rect(*x, *y, *w, *h), window);
            }
            prop_assert!(region.len() <= MAX_RECTS);
            prop_assert!(region.rects.iter().all(|r| r.fits(window)));
            for (x, y, w, h) in rects {
                if let Some(r) = rect(x, y, w, h).clip(window) {
                    let (left, top) = (u32::from(r.x), u32::from(r.y));
                    for (px, py) in [(left, top), (r.right() - 1, r.bottom() - 1), (left, r.bottom() - 1)] {
                        prop_assert!(covers(&region, px, py));
                    }
                }
            }
        }

        #[test]
        fn taking_gives_everything_back(max in 400..100_000u32, w in 1..100u32, h in 1..300u32) {
            let mut region = Region::whole(Size::new(w, h).unwrap());
            let mut rows = 0;
            while let Some(band) = region.take(max) {
                prop_assert_eq!(u32::from(band.y), rows);
                prop_assert!(band.size.bytes() <= max);
                rows += u32::from(band.size.height());
            }
            prop_assert_eq!(rows, h);
        }
    }
}
