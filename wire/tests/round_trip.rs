//! Every typed packet survives being written, sent and read.

mod offer;

use offer::any_offer;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use wire::challenge::Digest;
use wire::hello::{
    AuthCaps, ClientHello, CursorCaps, DisplayCaps, EncodingCaps, Identity, Keycode, Keymap,
    Monitor, NetworkCaps, Request, Screen, XkbQuery,
};
use wire::limits::Limits;
use wire::packet::*;
use wire::record::{RecordReader, RecordWriter};
use wire::rencodeplus::Value;

fn send(packet: &Packet, limits: Limits) -> Packet {
    let mut reader = RecordReader::new(limits);
    reader.push(&RecordWriter::new(true).record(packet, false).unwrap());
    Packet::decode(reader.next_message().unwrap().unwrap(), &limits.budget).unwrap()
}

fn text() -> impl Strategy<Value = String> {
    ".{0,20}"
}

fn word() -> impl Strategy<Value = String> {
    "[a-z]{1,8}"
}

fn window() -> impl Strategy<Value = WindowId> {
    (1u64..1 << 48).prop_map(|id| WindowId::new(id).unwrap())
}

fn maybe_window() -> impl Strategy<Value = Option<WindowId>> {
    option::of(window())
}

fn size() -> impl Strategy<Value = Size> {
    (1u16..=32767, 1u16..=32767).prop_map(|(w, h)| Size::new(w, h).unwrap())
}

fn geometry() -> impl Strategy<Value = Geometry> {
    (any::<i32>(), any::<i32>(), size()).prop_map(|(x, y, size)| Geometry { x, y, size })
}

fn position() -> impl Strategy<Value = Position> {
    (any::<i32>(), any::<i32>(), option::of(any::<(i32, i32)>()))
        .prop_map(|(x, y, relative)| Position { x, y, relative })
}

fn modifiers() -> impl Strategy<Value = Modifiers> {
    any::<u8>().prop_map(Modifiers::from_mask)
}

fn buttons() -> impl Strategy<Value = Vec<u8>> {
    vec(1u8.., 0..9)
}

fn held() -> impl Strategy<Value = (Modifiers, Vec<u8>)> {
    (modifiers(), buttons())
}

fn map() -> impl Strategy<Value = Map> {
    vec(
        (
            word().prop_map(Value::Text),
            any::<i64>().prop_map(Value::Int),
        ),
        0..5,
    )
}

fn select<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(all)
}

fn disconnect() -> impl Strategy<Value = Disconnect> {
    (text(), vec(text(), 0..4)).prop_map(|(reason, details)| Disconnect { reason, details })
}

fn ping() -> impl Strategy<Value = Ping> {
    prop_oneof![
        any::<i64>().prop_map(|time| Ping {
            time,
            wall_time: None,
            source: String::new()
        }),
        (any::<i64>(), any::<i64>(), text()).prop_map(|(time, wall, source)| Ping {
            time,
            wall_time: Some(wall),
            source
        }),
    ]
}

fn ping_echo() -> impl Strategy<Value = PingEcho> {
    (any::<i64>(), any::<[i64; 3]>(), any::<i64>(), text()).prop_map(
        |(time, load, latency, source)| PingEcho {
            time,
            load,
            latency,
            source,
        },
    )
}

fn properties() -> impl Strategy<Value = WindowProperties> {
    (
        option::of(vec(select(RgbFormat::ALL), 0..5)),
        any::<Option<bool>>(),
        option::of(size()),
        any::<Option<u32>>(),
    )
        .prop_map(
            |(rgb_formats, transparency, render_size, workspace)| WindowProperties {
                rgb_formats,
                transparency,
                render_size,
                workspace,
            },
        )
}

fn state() -> impl Strategy<Value = WindowState> {
    (any::<[Option<bool>; 10]>(), any::<Option<[u16; 4]>>()).prop_map(|(flags, frame)| {
        let [a, b, c, d, e, f, g, h, i, j] = flags;
        WindowState {
            iconified: a,
            focused: b,
            fullscreen: c,
            maximized: d,
            above: e,
            below: f,
            sticky: g,
            shaded: h,
            skip_taskbar: i,
            skip_pager: j,
            frame,
        }
    })
}

fn configure() -> impl Strategy<Value = ConfigureWindow> {
    (
        window(),
        option::of(geometry()),
        properties(),
        option::of(1u64..1 << 60),
        state(),
        any::<bool>(),
        option::of((maybe_window(), position(), modifiers())),
    )
        .prop_map(
            |(window, geometry, properties, resize_counter, state, skip, pointer)| {
                ConfigureWindow {
                    window,
                    geometry,
                    properties,
                    resize_counter,
                    state,
                    skip_geometry: skip || geometry.is_none(),
                    pointer: pointer.map(|(window, position, modifiers)| PointerState {
                        window,
                        position,
                        modifiers,
                    }),
                }
            },
        )
}

fn keymap() -> impl Strategy<Value = Keymap> {
    let keycode = (any::<u32>(), word(), any::<u32>(), any::<u8>(), any::<u8>()).prop_map(
        |(keyval, keysym, keycode, group, level)| Keycode {
            keyval,
            keysym,
            keycode,
            group,
            level,
        },
    );
    let query = (word(), word(), word(), text(), text()).prop_map(
        |(rules, model, layout, variant, options)| XkbQuery {
            rules,
            model,
            layout,
            variant,
            options,
        },
    );
    (
        (
            text(),
            vec(text(), 0..4),
            text(),
            vec(text(), 0..4),
            text(),
            text(),
        ),
        option::of(query),
        any::<[bool; 3]>(),
        vec(
            (word(), (0u8..8).prop_map(|b| Modifiers::from_mask(1 << b))),
            0..9,
        ),
        modifiers(),
        vec(keycode, 0..20),
        vec((any::<u8>(), vec(word(), 0..4)), 0..9),
    )
        .prop_map(
            |(texts, query, flags, mod_meanings, missing, keycodes, x11)| {
                let (layout, layouts, variant, variants, options, model) = texts;
                let [raw, layout_groups, sync] = flags;
                Keymap {
                    layout,
                    layouts,
                    variant,
                    variants,
                    options,
                    model,
                    query,
                    raw,
                    layout_groups,
                    sync,
                    mod_meanings,
                    mod_pointermissing: missing,
                    keycodes,
                    x11_keycodes: x11,
                }
            },
        )
}

fn display() -> impl Strategy<Value = DisplayCaps> {
    let screen = (text(), size(), any::<u32>(), any::<u32>()).prop_map(
        |(name, size, width_mm, height_mm)| Screen {
            name,
            size,
            width_mm,
            height_mm,
        },
    );
    let monitor = (
        (
            any::<u16>(),
            any::<bool>(),
            geometry(),
            option::of(geometry()),
        ),
        (any::<u32>(), any::<u32>(), any::<u32>(), 1u16..),
        (text(), text(), text()),
    )
        .prop_map(|(a, b, c)| Monitor {
            index: a.0,
            primary: a.1,
            geometry: a.2,
            workarea: a.3,
            refresh_rate: b.0,
            width_mm: b.1,
            height_mm: b.2,
            scale_factor: b.3,
            name: c.0,
            model: c.1,
            manufacturer: c.2,
        });
    (
        option::of(size()),
        vec(screen, 0..3),
        vec(monitor, 0..4),
        option::of((1u16.., 1u16..)),
        option::of(1u16..),
    )
        .prop_map(
            |(desktop_size, screens, monitors, dpi, refresh_rate)| DisplayCaps {
                desktop_size,
                screens,
                monitors,
                dpi,
                refresh_rate,
            },
        )
}

fn percent() -> impl Strategy<Value = Option<u8>> {
    option::of(0u8..=100)
}

fn client_packet() -> impl Strategy<Value = ClientPacket> {
    use ClientPacket as P;
    let activity =
        || (any::<bool>(), vec(window(), 0..4)).prop_map(|(ui, windows)| Activity { ui, windows });
    prop_oneof![
        disconnect().prop_map(P::Disconnect),
        ping().prop_map(P::Ping),
        ping_echo().prop_map(P::PingEcho),
        (window(), geometry(), properties(), state()).prop_map(
            |(window, geometry, properties, state)| P::MapWindow(MapWindow {
                window,
                geometry,
                properties,
                state
            })
        ),
        (window(), any::<bool>(), state()).prop_map(|(window, iconified, state)| {
            P::UnmapWindow(UnmapWindow {
                window,
                iconified,
                state,
            })
        }),
        configure().prop_map(P::ConfigureWindow),
        window().prop_map(P::CloseWindow),
        (maybe_window(), modifiers())
            .prop_map(|(window, modifiers)| P::Focus { window, modifiers }),
        (window(), text()).prop_map(|(window, action)| P::WindowAction { window, action }),
        (window(), text()).prop_map(|(window, signal)| P::WindowSignal { window, signal }),
        (maybe_window(), percent(), any::<bool>(), properties()).prop_map(
            |(window, quality, refresh_now, properties)| P::BufferRefresh(BufferRefresh {
                window,
                quality,
                refresh_now,
                properties
            })
        ),
        (
            0..1u64 << 60,
            maybe_window(),
            any::<u16>(),
            any::<u16>(),
            any::<i64>(),
            text()
        )
            .prop_map(
                |(sequence, window, width, height, decode_time, message)| P::DrawAck(DrawAck {
                    sequence,
                    window,
                    width,
                    height,
                    decode_time,
                    message
                })
            ),
        (
            (maybe_window(), text(), any::<bool>(), modifiers()),
            (any::<u32>(), text(), any::<u32>(), any::<u8>())
        )
            .prop_map(|(a, b)| P::Key(KeyAction {
                window: a.0,
                keysym: a.1,
                pressed: a.2,
                modifiers: a.3,
                keyval: b.0,
                text: b.1,
                keycode: b.2,
                group: b.3
            })),
        (text(), text(), text(), text(), text()).prop_map(
            |(layout, variant, options, backend, name)| P::LayoutChanged(LayoutChanged {
                layout,
                variant,
                options,
                backend,
                name
            })
        ),
        (keymap(), any::<bool>()).prop_map(|(keymap, force)| P::KeymapChanged {
            keymap: Box::new(keymap),
            force
        }),
        any::<bool>().prop_map(P::KeyboardSync),
        (
            any::<i64>(),
            0..1u64 << 60,
            maybe_window(),
            position(),
            held()
        )
            .prop_map(
                |(device, sequence, window, position, (modifiers, buttons))| {
                    P::PointerMotion(PointerMotion {
                        device,
                        sequence,
                        window,
                        position,
                        modifiers,
                        buttons,
                    })
                }
            ),
        (
            any::<i64>(),
            0..1u64 << 60,
            maybe_window(),
            1u8..,
            any::<bool>(),
            position(),
            held()
        )
            .prop_map(
                |(device, sequence, window, button, pressed, position, (modifiers, buttons))| {
                    P::PointerButton(PointerButton {
                        device,
                        sequence,
                        window,
                        button,
                        pressed,
                        position,
                        modifiers,
                        buttons,
                    })
                }
            ),
        (maybe_window(), 1u8.., any::<i32>(), position(), held()).prop_map(
            |(window, button, distance, position, (modifiers, buttons))| {
                P::WheelMotion(WheelMotion {
                    window,
                    button,
                    distance,
                    position,
                    modifiers,
                    buttons,
                })
            }
        ),
        (text(), vec(window(), 0..4)).prop_map(|(name, windows)| P::Encoding { name, windows }),
        (select(Tunable::ALL), percent())
            .prop_map(|(what, value)| P::Tuning(vec![Tuning { what, value }])),
        any::<bool>().prop_map(P::SetCursors),
        any::<bool>().prop_map(P::SetBell),
        display().prop_map(|display| P::ConfigureDisplay(Box::new(display))),
        Just(P::ForceUngrab),
        any::<bool>().prop_map(P::SharingToggle),
        any::<bool>().prop_map(P::LockToggle),
        activity().prop_map(P::Suspend),
        activity().prop_map(P::Resume),
        (0..1u64 << 60).prop_map(P::BandwidthLimit),
        (vec(text(), 0..3), vec(window(), 0..3), vec(text(), 0..3)).prop_map(
            |(uuids, windows, categories)| P::InfoRequest(InfoRequest {
                uuids,
                windows,
                categories
            })
        ),
        Just(P::ShutdownServer),
        text().prop_map(|reason| P::ExitServer { reason }),
        Just(P::Ignored {
            name: "clipboard-token".into()
        }),
    ]
}

fn rectangles() -> impl Strategy<Value = Vec<[i32; 4]>> {
    vec(any::<[i32; 4]>(), 0..5)
}

fn metadata() -> impl Strategy<Value = Metadata> {
    use Metadata as M;
    let pair = || option::of(any::<(u32, u32)>());
    let constraints = (
        pair(),
        pair(),
        pair(),
        pair(),
        pair(),
        pair(),
        any::<Option<u8>>(),
    )
        .prop_map(
            |(minimum, maximum, base, increment, low, high, gravity)| SizeConstraints {
                minimum,
                maximum,
                base,
                increment,
                minimum_aspect: low,
                maximum_aspect: high,
                gravity,
            },
        );
    let shape = (
        any::<(i32, i32)>(),
        option::of(rectangles()),
        option::of(rectangles()),
        option::of(rectangles()),
    )
        .prop_map(|((x, y), bounding, clip, input)| Shape {
            x,
            y,
            bounding,
            clip,
            input,
        });
    prop_oneof![
        (0usize..8, text()).prop_map(|(kind, text)| match kind {
            0 => M::Title(text),
            1 => M::IconTitle(text),
            2 => M::Role(text),
            3 => M::ClientMachine(text),
            4 => M::Command(text),
            5 => M::Locale(text),
            6 => M::ContentType(text),
            _ => M::ClassInstance((text, "Class".into())),
        }),
        (0usize..16, any::<bool>()).prop_map(|(kind, on)| match kind {
            0 => M::SetInitialPosition(on),
            1 => M::OverrideRedirect(on),
            2 => M::HasAlpha(on),
            3 => M::Iconic(on),
            4 => M::Fullscreen(on),
            5 => M::Maximized(on),
            6 => M::Above(on),
            7 => M::Below(on),
            8 => M::Shaded(on),
            9 => M::Sticky(on),
            10 => M::SkipTaskbar(on),
            11 => M::SkipPager(on),
            12 => M::Modal(on),
            13 => M::Focused(on),
            _ => M::Tray(on),
        }),
        (0usize..5, any::<u32>()).prop_map(|(kind, n)| match kind {
            0 => M::Pid(n),
            1 => M::Opacity(Some(n)),
            2 => M::Workspace(n),
            3 => M::Xid(n),
            _ => M::BypassCompositor(n),
        }),
        Just(M::Opacity(None)),
        any::<i32>().prop_map(M::Decorations),
        vec(select(WindowType::ALL), 0..4).prop_map(M::WindowType),
        constraints.prop_map(M::SizeConstraints),
        maybe_window().prop_map(M::TransientFor),
        maybe_window().prop_map(M::Parent),
        maybe_window().prop_map(M::GroupLeader),
        any::<(i32, i32)>().prop_map(M::RelativePosition),
        any::<(i32, i32)>().prop_map(M::RequestedPosition),
        any::<[i32; 4]>().prop_map(M::FullscreenMonitors),
        shape.prop_map(M::Shape),
        rectangles().prop_map(M::OpaqueRegion),
    ]
}

fn new_window() -> impl Strategy<Value = NewWindow> {
    (window(), geometry(), vec(metadata(), 0..9), map()).prop_map(
        |(window, geometry, metadata, client_properties)| NewWindow {
            window,
            geometry,
            metadata,
            client_properties,
        },
    )
}

fn draw_options() -> impl Strategy<Value = DrawOptions> {
    (
        (
            option::of(size()),
            any::<Option<u32>>(),
            option::of(select(RgbFormat::ALL)),
        ),
        (
            option::of(1u8..),
            any::<Option<u8>>(),
            any::<Option<u8>>(),
            any::<Option<bool>>(),
        ),
        (
            option::of(0u64..1 << 60),
            option::of(word()),
            option::of(word()),
            any::<Option<i64>>(),
        ),
        (
            option::of(size()),
            any::<Option<bool>>(),
            any::<Option<u32>>(),
            any::<Option<bool>>(),
        ),
        (option::of(word()), option::of(vec(any::<[i32; 6]>(), 0..4))),
    )
        .prop_map(|(a, b, c, d, e)| DrawOptions {
            window_size: a.0,
            flush: a.1,
            rgb_format: a.2,
            lz4: b.0,
            quality: b.1,
            speed: b.2,
            paint: b.3,
            frame: c.0,
            frame_type: c.1,
            csc: c.2,
            pts: c.3,
            scaled_size: d.0,
            full_range: d.1,
            alpha_offset: d.2,
            has_alpha: d.3,
            subsampling: e.0,
            scroll: e.1,
        })
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..600)
}

fn server_packet() -> impl Strategy<Value = ServerPacket> {
    use ServerPacket as P;
    let draw = (
        (window(), any::<i32>(), any::<i32>(), size()),
        (select(Coding::ALL), data(), 0u64..1 << 60, any::<u32>()),
        draw_options(),
    )
        .prop_map(|(a, b, options)| Draw {
            window: a.0,
            x: a.1,
            y: a.2,
            size: a.3,
            coding: b.0,
            data: b.1,
            sequence: b.2,
            rowstride: b.3,
            options,
        });
    let cursor = (
        (word(), any::<i32>(), any::<i32>(), size()),
        (any::<u16>(), any::<u16>(), 0u64..1 << 60, data()),
        (text(), any::<(u16, u16)>()),
    )
        .prop_map(|(a, b, c)| Cursor {
            encoding: a.0,
            x: a.1,
            y: a.2,
            size: a.3,
            x_hot: b.0,
            y_hot: b.1,
            serial: b.2,
            pixels: b.3,
            name: c.0,
            default_size: c.1,
        });
    prop_oneof![
        map().prop_map(P::Hello),
        (data(), map(), word(), word(), text()).prop_map(
            |(salt, auth_caps, digest, salt_digest, prompt)| P::Challenge(Challenge {
                salt,
                auth_caps,
                digest,
                salt_digest,
                prompt
            })
        ),
        disconnect().prop_map(P::Disconnect),
        ping().prop_map(P::Ping),
        ping_echo().prop_map(P::PingEcho),
        Just(P::StartupComplete),
        map().prop_map(P::Encodings),
        (word(), map()).prop_map(|(name, map)| P::SettingChange {
            name,
            value: Value::Dict(map)
        }),
        (word(), vec(word().prop_map(Value::Text), 0..3))
            .prop_map(|(name, args)| P::ServerEvent { name, args }),
        map().prop_map(P::InfoResponse),
        new_window().prop_map(P::NewWindow),
        new_window().prop_map(P::NewOverrideRedirect),
        window().prop_map(P::LostWindow),
        window().prop_map(P::RaiseWindow),
        (window(), any::<u8>(), maybe_window()).prop_map(|(window, detail, sibling)| {
            P::RestackWindow(Restack {
                window,
                detail,
                sibling,
            })
        }),
        (window(), any::<(i32, i32)>(), any::<(u8, u8, u8)>()).prop_map(|(window, at, rest)| {
            P::InitiateMoveResize(MoveResize {
                window,
                x_root: at.0,
                y_root: at.1,
                direction: rest.0,
                button: rest.1,
                source: rest.2,
            })
        }),
        (window(), geometry())
            .prop_map(|(window, geometry)| P::ConfigureOverrideRedirect { window, geometry }),
        (window(), geometry(), 0u64..1 << 60).prop_map(|(window, geometry, resize_counter)| {
            P::WindowMoveResize {
                window,
                geometry,
                resize_counter,
            }
        }),
        (window(), size(), 0u64..1 << 60).prop_map(|(window, size, resize_counter)| {
            P::WindowResized {
                window,
                size,
                resize_counter,
            }
        }),
        (window(), vec(metadata(), 0..9))
            .prop_map(|(window, metadata)| P::WindowMetadata { window, metadata }),
        (window(), any::<(u16, u16)>(), word(), data()).prop_map(
            |(window, (width, height), encoding, data)| P::WindowIcon(WindowIcon {
                window,
                width,
                height,
                encoding,
                data
            })
        ),
        draw.prop_map(P::Draw),
        window().prop_map(P::EndOfStream),
        (maybe_window(), any::<[i32; 6]>(), text()).prop_map(|(window, n, name)| {
            let [device, percent, pitch, duration, class, id] = n;
            P::Bell(Bell {
                window,
                device,
                percent,
                pitch,
                duration,
                class,
                id,
                name,
            })
        }),
        (
            maybe_window(),
            any::<(i32, i32)>(),
            any::<Option<(i32, i32)>>()
        )
            .prop_map(|(window, (x, y), relative)| P::PointerPosition {
                window,
                x,
                y,
                relative
            }),
        maybe_window().prop_map(P::PointerGrab),
        maybe_window().prop_map(P::PointerUngrab),
        option::of(cursor).prop_map(P::Cursor),
        (size(), size()).prop_map(|(size, max)| P::DesktopSize(DesktopSize { size, max })),
        any::<bool>().prop_map(P::ShowDesktop),
        (any::<(u16, u16)>(), word(), any::<u32>(), data()).prop_map(
            |((width, height), encoding, rowstride, data)| P::Screenshot(Screenshot {
                width,
                height,
                encoding,
                rowstride,
                data
            })
        ),
        Just(P::Ignored {
            name: "notify_show".into()
        }),
    ]
}

fn digests() -> impl Strategy<Value = Vec<Digest>> {
    let all = Digest::offered(true);
    prop::sample::subsequence(all.clone(), 0..=all.len())
}

fn hello() -> impl Strategy<Value = ClientHello> {
    let identity =
        (text(), text(), text(), text(), text(), text(), text()).prop_map(|t| Identity {
            version: t.0,
            client_type: t.1,
            uuid: t.2,
            session_id: t.3,
            machine_id: t.4,
            username: t.5,
            hostname: t.6,
        });
    let network = (
        any::<[bool; 4]>(),
        option::of(any_offer()),
        vec(word(), 0..9),
    )
        .prop_map(|(flags, encryption, packet_types)| {
            let [rencodeplus, lz4, chunks, ping] = flags;
            NetworkCaps {
                rencodeplus,
                lz4,
                chunks,
                encryption: Ok(encryption),
                ping,
                packet_types,
            }
        });
    let auth = (
        digests(),
        digests(),
        any::<bool>(),
        option::of(data()),
        option::of(data()),
    )
        .prop_map(
            |(digests, salt_digests, wants_challenge, response, client_salt)| AuthCaps {
                digests,
                salt_digests,
                wants_challenge,
                response,
                client_salt,
                named: Vec::new(),
            },
        );
    let request = prop_oneof![
        Just(Request::Version),
        Just(Request::Id),
        text().prop_map(Request::ConnectTest),
        Just(Request::Info),
        Just(Request::Screenshot),
        Just(Request::Detach),
        Just(Request::Exit),
        Just(Request::Stop),
        vec(text(), 0..5).prop_map(Request::Command),
        vec(text(), 0..5).prop_map(Request::Run),
        Just(Request::Other("encode".into())),
    ];
    let pair = || any::<Option<(u16, u16)>>();
    let encoding = (
        (
            prop::sample::subsequence(Coding::ALL, 0..=Coding::ALL.len()),
            vec(select(RgbFormat::ALL), 0..4),
            any::<(bool, bool)>(),
        ),
        (
            percent(),
            percent(),
            percent(),
            percent(),
            any::<Option<u32>>(),
        ),
        (vec(word(), 0..3), pair(), pair()),
    )
        .prop_map(|(a, b, c)| EncodingCaps {
            core: a.0,
            rgb_formats: a.1,
            rgb_lz4: a.2.0,
            transparency: a.2.1,
            quality: b.0,
            min_quality: b.1,
            speed: b.2,
            min_speed: b.3,
            auto_refresh_delay: b.4,
            icon_encodings: c.0,
            icon_size: c.1,
            icon_max_size: c.2,
        });
    let cursor = (any::<(bool, bool)>(), vec(word(), 0..3), pair()).prop_map(
        |((enabled, legacy), encodings, max_size)| CursorCaps {
            enabled,
            encodings,
            legacy,
            max_size,
        },
    );
    (
        (identity, network, auth, option::of(request)),
        any::<[bool; 10]>(),
        (
            vec(word(), 0..9),
            keymap(),
            any::<Option<(u32, u32)>>(),
            modifiers(),
        ),
        (
            display(),
            encoding,
            cursor,
            vec("[f-z]{1,9}", 0..4),
            any::<bool>(),
        ),
    )
        .prop_map(|(a, flags, b, c)| {
            let [
                ui,
                share,
                lock,
                steal,
                windows,
                keyboard,
                sync,
                bell,
                tray,
                desktop,
            ] = flags;
            ClientHello {
                identity: a.0,
                network: a.1,
                auth: a.2,
                request: a.3,
                ui_client: ui,
                share,
                lock,
                steal,
                windows,
                metadata_supported: b.0,
                keyboard,
                keymap: b.1,
                key_repeat: b.2,
                keyboard_sync: sync,
                modifiers: b.3,
                display: c.0,
                encoding: c.1,
                cursor: c.2,
                bell,
                system_tray: tray,
                show_desktop: desktop,
                events: c.4,
                wants: c.3,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn client_packets(packet in client_packet()) {
        let sent = send(&packet.clone().into_packet(), Limits::CLIENT_TO_SERVER);
        prop_assert_eq!(ClientPacket::parse(sent).unwrap(), packet);
    }

    #[test]
    fn server_packets(packet in server_packet()) {
        let sent = send(&packet.clone().into_packet(), Limits::SERVER_TO_CLIENT);
        prop_assert_eq!(ServerPacket::parse(sent).unwrap(), packet);
    }

    #[test]
    fn hellos(hello in hello()) {
        let mut reader = RecordReader::new(Limits::PRE_AUTH);
        reader.push(&RecordWriter::new(true).record(&hello.clone().into_packet(), true).unwrap());
        let message = reader.next_message().unwrap().unwrap();
        let packet = PreAuthPacket::decode(message, &Limits::PRE_AUTH.budget).unwrap();
        prop_assert_eq!(packet, PreAuthPacket::Hello(Box::new(hello)));
    }
}
