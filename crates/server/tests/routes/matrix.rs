//! Who may do what with whose things: every route of the admin API, asked for by everybody.

use std::fmt::Write as _;

use tollgate_server::{Access, RouteSpec, routes};

use crate::asked::body;
use crate::server::{Server, bearer};
use crate::world::{Whose, World};

/// The answers to one route: a line for each caller, a column for whose thing it is.
struct Table {
    text: String,
    faults: Vec<String>,
}

impl Table {
    fn add(&mut self, route: &RouteSpec, (who, whose): (&str, Option<Whose>), status: u16) {
        let may_cross = who == "platform_admin" && route.path.starts_with("/api/v1/organizations");
        let is_of_team = who.starts_with("team's");
        let is_out_of_reach = match whose {
            Some(Whose::Foreign) => who != "foreign owner" && !may_cross,
            Some(Whose::Sibling) => is_of_team || who == "foreign owner",
            Some(Whose::Own | Whose::Deleted) => who == "foreign owner",
            None => false,
        };
        if status >= 500 || (is_out_of_reach && !matches!(status, 403 | 404)) {
            let (method, path) = (&route.method, route.path);
            self.faults
                .push(format!("{who} at {method} {path}, {whose:?}: {status}"));
        }
    }
}

fn ask(world: &World, route: &RouteSpec, key: &str, id: Option<&str>) -> u16 {
    let mut path = route.path.to_owned();
    if let Some(id) = id {
        path = path.replace("{id}", id);
    }
    if path.contains("{user_id}") {
        let user = world.user(world.home, false);
        path = path.replace("{user_id}", &user.to_string());
    }
    assert!(!path.contains('{'), "what is {path}?");
    if path == "/api/v1/usage" {
        path.push_str("?group_by=model");
    }
    let head = format!("{}if-match: *\r\n", bearer(key));
    let body = body(route);
    let method = route.method.as_str();
    world
        .server
        .send(method, &path, &head, body.as_ref())
        .status
}

fn matrix(server: Server) -> Table {
    let world = World::new(server);
    let callers = world.callers();
    let mut table = Table {
        text: String::new(),
        faults: Vec::new(),
    };
    for route in routes() {
        if !route.path.starts_with("/api/v1/") || !matches!(route.access, Access::Needs(_)) {
            continue;
        }
        let has_id = route.path.contains("{id}");
        let columns: &[Option<Whose>] = if has_id {
            &Whose::ALL.map(Some)
        } else {
            &[None]
        };
        let (method, path) = (route.method.as_str(), route.path);
        writeln!(table.text, "{method} {path}").unwrap();
        if has_id {
            let heads = ["own", "sibling", "foreign", "deleted"];
            let line = heads.map(|head| format!("{head:>8}")).concat();
            writeln!(table.text, "  {:<16}{line}", "").unwrap();
        }
        for (who, key) in &callers {
            write!(table.text, "  {who:<16}").unwrap();
            for whose in columns {
                let id = whose.map(|whose| world.thing(method, path, whose));
                if id == Some(None) {
                    write!(table.text, "{:>8}", "-").unwrap();
                    continue;
                }
                let status = ask(&world, &route, key, id.flatten().as_deref());
                write!(table.text, "{status:>8}").unwrap();
                table.add(&route, (who, *whose), status);
            }
            table.text.push('\n');
        }
        table.text.push('\n');
    }
    table
}

fn check(server: Server) {
    let Table { text, faults } = matrix(server);
    assert!(faults.is_empty(), "{}\n{text}", faults.join("\n"));
    insta::assert_snapshot!("matrix", text);
}

#[test]
fn t_matrix_everybody_does_what_they_may_on_sqlite() {
    check(Server::start());
}

#[test]
fn t_matrix_everybody_does_what_they_may_on_postgres() {
    check(Server::start_on_postgres());
}
