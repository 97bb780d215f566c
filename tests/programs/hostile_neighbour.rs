//! An application inside a session that attacks what runs beside it: `hostile-neighbour SOCKET`
//! does what the test tells it at that socket (`bulkhead_tests::neighbour`).

fn main() {
    let path = std::env::args_os().nth(1).expect("the path of a socket");
    bulkhead_tests::neighbour::serve(path.as_ref());
}
