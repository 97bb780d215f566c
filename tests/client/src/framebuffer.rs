//! A window's pixels as the client has them.

/// Blue, green, red, alpha of every pixel, rows from the top. Pixels that were never drawn are 0.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Framebuffer {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

impl Framebuffer {
    /// All zero.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            bytes: vec![0; width * height * 4],
        }
    }

    /// Pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// All bytes, four a pixel.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Another size; what both have stays.
    pub fn resize(&mut self, width: usize, height: usize) {
        if (width, height) == (self.width, self.height) {
            return;
        }
        let mut new = Self::new(width, height);
        if self.width > 0 {
            let rows = self.bytes.chunks_exact(self.width * 4);
            for (target, source) in new.bytes.chunks_exact_mut((width * 4).max(1)).zip(rows) {
                let both = target.len().min(source.len());
                target[..both].copy_from_slice(&source[..both]);
            }
        }
        *self = new;
    }

    /// Puts a picture into its place. Says whether that changed any colour, or `None` when it
    /// sticks out.
    pub fn paint(
        &mut self,
        x: usize,
        y: usize,
        width: usize,
        height: usize,
        pixels: &[u8],
    ) -> Option<bool> {
        let fits = x.checked_add(width)? <= self.width && y.checked_add(height)? <= self.height;
        if !fits || pixels.len() != width * height * 4 {
            return None;
        }
        let mut changed = false;
        for (row, source) in pixels.chunks_exact((width * 4).max(1)).enumerate() {
            let start = ((y + row) * self.width + x) * 4;
            let target = &mut self.bytes[start..start + width * 4];
            changed |= target != source;
            target.copy_from_slice(source);
        }
        Some(changed)
    }

    /// Blue, green, red, alpha of one pixel.
    #[must_use]
    pub fn pixel(&self, x: usize, y: usize) -> Option<[u8; 4]> {
        let start = (x < self.width).then_some((y * self.width + x) * 4)?;
        self.bytes.get(start..start + 4)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn painting_and_resizing() {
        let mut screen = Framebuffer::new(4, 3);
        assert_eq!(screen.paint(1, 1, 2, 1, &[7; 8]), Some(true));
        assert_eq!(screen.paint(1, 1, 2, 1, &[7; 8]), Some(false));
        assert_eq!(screen.paint(3, 1, 2, 1, &[7; 8]), None);
        assert_eq!(screen.paint(usize::MAX, 1, 2, 1, &[7; 8]), None);
        assert_eq!(screen.paint(0, 0, 2, 1, &[7; 7]), None);
        screen.resize(2, 5);
        assert_eq!(
            (screen.pixel(1, 1), screen.pixel(0, 1), screen.pixel(2, 1)),
            (Some([7; 4]), Some([0; 4]), None)
        );
        assert_eq!(screen.bytes().len(), 40);
    }
}
