//! Names of properties, types and messages (ICCCM, EWMH, Motif).

#![expect(missing_docs, reason = "the names are those of the standards")]

x11rb::atom_manager! {
    /// Numbers that the X server has for names.
    pub Atoms:
    /// Where the numbers arrive.
    AtomsCookie {
        COMPOUND_TEXT,
        UTF8_STRING,
        WM_CHANGE_STATE,
        WM_CLIENT_MACHINE,
        WM_DELETE_WINDOW,
        WM_PROTOCOLS,
        WM_S0,
        WM_STATE,
        WM_TAKE_FOCUS,
        WM_WINDOW_ROLE,
        MANAGER,
        _MOTIF_WM_HINTS,
        _BULKHEAD_DONE,
        _BULKHEAD_TIME,
        _NET_ACTIVE_WINDOW,
        _NET_CLIENT_LIST,
        _NET_CLOSE_WINDOW,
        _NET_CURRENT_DESKTOP,
        _NET_DESKTOP_GEOMETRY,
        _NET_DESKTOP_VIEWPORT,
        _NET_FRAME_EXTENTS,
        _NET_MOVERESIZE_WINDOW,
        _NET_NUMBER_OF_DESKTOPS,
        _NET_REQUEST_FRAME_EXTENTS,
        _NET_SUPPORTED,
        _NET_SUPPORTING_WM_CHECK,
        _NET_WM_DESKTOP,
        _NET_WM_ICON,
        _NET_WM_ICON_NAME,
        _NET_WM_MOVERESIZE,
        _NET_WM_NAME,
        _NET_WM_PID,
        _NET_WM_STATE,
        _NET_WM_STATE_ABOVE,
        _NET_WM_STATE_BELOW,
        _NET_WM_STATE_FOCUSED,
        _NET_WM_STATE_FULLSCREEN,
        _NET_WM_STATE_HIDDEN,
        _NET_WM_STATE_MAXIMIZED_HORZ,
        _NET_WM_STATE_MAXIMIZED_VERT,
        _NET_WM_STATE_MODAL,
        _NET_WM_STATE_SHADED,
        _NET_WM_STATE_SKIP_PAGER,
        _NET_WM_STATE_SKIP_TASKBAR,
        _NET_WM_STATE_STICKY,
        _NET_WM_WINDOW_OPACITY,
        _NET_WM_WINDOW_TYPE,
        _NET_WM_WINDOW_TYPE_COMBO,
        _NET_WM_WINDOW_TYPE_DESKTOP,
        _NET_WM_WINDOW_TYPE_DIALOG,
        _NET_WM_WINDOW_TYPE_DND,
        _NET_WM_WINDOW_TYPE_DOCK,
        _NET_WM_WINDOW_TYPE_DROPDOWN_MENU,
        _NET_WM_WINDOW_TYPE_MENU,
        _NET_WM_WINDOW_TYPE_NORMAL,
        _NET_WM_WINDOW_TYPE_NOTIFICATION,
        _NET_WM_WINDOW_TYPE_POPUP_MENU,
        _NET_WM_WINDOW_TYPE_SPLASH,
        _NET_WM_WINDOW_TYPE_TOOLBAR,
        _NET_WM_WINDOW_TYPE_TOOLTIP,
        _NET_WM_WINDOW_TYPE_UTILITY,
        _NET_WORKAREA,
    }
}

use ipc::display::{WindowState, WindowType};

impl Atoms {
    /// The window types that clients know.
    #[must_use]
    pub fn window_type(&self, atom: u32) -> Option<WindowType> {
        let types = [
            (self._NET_WM_WINDOW_TYPE_NORMAL, WindowType::Normal),
            (self._NET_WM_WINDOW_TYPE_DIALOG, WindowType::Dialog),
            (self._NET_WM_WINDOW_TYPE_MENU, WindowType::Menu),
            (
                self._NET_WM_WINDOW_TYPE_DROPDOWN_MENU,
                WindowType::DropdownMenu,
            ),
            (self._NET_WM_WINDOW_TYPE_POPUP_MENU, WindowType::PopupMenu),
            (self._NET_WM_WINDOW_TYPE_TOOLTIP, WindowType::Tooltip),
            (
                self._NET_WM_WINDOW_TYPE_NOTIFICATION,
                WindowType::Notification,
            ),
            (self._NET_WM_WINDOW_TYPE_COMBO, WindowType::Combo),
            (self._NET_WM_WINDOW_TYPE_DND, WindowType::Dnd),
            (self._NET_WM_WINDOW_TYPE_DOCK, WindowType::Dock),
            (self._NET_WM_WINDOW_TYPE_DESKTOP, WindowType::Desktop),
            (self._NET_WM_WINDOW_TYPE_TOOLBAR, WindowType::Toolbar),
            (self._NET_WM_WINDOW_TYPE_UTILITY, WindowType::Utility),
            (self._NET_WM_WINDOW_TYPE_SPLASH, WindowType::Splash),
        ];
        types.into_iter().find(|(a, _)| *a == atom).map(|(_, t)| t)
    }

    /// The atoms of `_NET_WM_STATE` and the states they stand for.
    #[must_use]
    pub const fn states(&self) -> [(u32, WindowState); 12] {
        [
            (self._NET_WM_STATE_HIDDEN, WindowState::Iconic),
            (self._NET_WM_STATE_FULLSCREEN, WindowState::Fullscreen),
            (self._NET_WM_STATE_MAXIMIZED_VERT, WindowState::Maximized),
            (self._NET_WM_STATE_MAXIMIZED_HORZ, WindowState::Maximized),
            (self._NET_WM_STATE_ABOVE, WindowState::Above),
            (self._NET_WM_STATE_BELOW, WindowState::Below),
            (self._NET_WM_STATE_SHADED, WindowState::Shaded),
            (self._NET_WM_STATE_STICKY, WindowState::Sticky),
            (self._NET_WM_STATE_SKIP_TASKBAR, WindowState::SkipTaskbar),
            (self._NET_WM_STATE_SKIP_PAGER, WindowState::SkipPager),
            (self._NET_WM_STATE_MODAL, WindowState::Modal),
            (self._NET_WM_STATE_FOCUSED, WindowState::Focused),
        ]
    }

    /// What the window manager can do, for `_NET_SUPPORTED`.
    #[must_use]
    pub fn supported(&self) -> Vec<u32> {
        let mut supported = vec![
            self._NET_ACTIVE_WINDOW,
            self._NET_CLIENT_LIST,
            self._NET_CLOSE_WINDOW,
            self._NET_CURRENT_DESKTOP,
            self._NET_DESKTOP_GEOMETRY,
            self._NET_DESKTOP_VIEWPORT,
            self._NET_FRAME_EXTENTS,
            self._NET_MOVERESIZE_WINDOW,
            self._NET_NUMBER_OF_DESKTOPS,
            self._NET_REQUEST_FRAME_EXTENTS,
            self._NET_SUPPORTED,
            self._NET_SUPPORTING_WM_CHECK,
            self._NET_WM_DESKTOP,
            self._NET_WM_ICON,
            self._NET_WM_ICON_NAME,
            self._NET_WM_MOVERESIZE,
            self._NET_WM_NAME,
            self._NET_WM_PID,
            self._NET_WM_STATE,
            self._NET_WM_WINDOW_OPACITY,
            self._NET_WM_WINDOW_TYPE,
            self._NET_WM_WINDOW_TYPE_NORMAL,
            self._NET_WM_WINDOW_TYPE_DIALOG,
            self._NET_WM_WINDOW_TYPE_MENU,
            self._NET_WM_WINDOW_TYPE_DROPDOWN_MENU,
            self._NET_WM_WINDOW_TYPE_POPUP_MENU,
            self._NET_WM_WINDOW_TYPE_TOOLTIP,
            self._NET_WM_WINDOW_TYPE_NOTIFICATION,
            self._NET_WM_WINDOW_TYPE_COMBO,
            self._NET_WM_WINDOW_TYPE_DND,
            self._NET_WM_WINDOW_TYPE_DOCK,
            self._NET_WM_WINDOW_TYPE_DESKTOP,
            self._NET_WM_WINDOW_TYPE_TOOLBAR,
            self._NET_WM_WINDOW_TYPE_UTILITY,
            self._NET_WM_WINDOW_TYPE_SPLASH,
            self._NET_WORKAREA,
        ];
        supported.extend(self.states().map(|(atom, _)| atom));
        supported
    }
}
