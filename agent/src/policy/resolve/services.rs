//! Services: their keys fit their transport, their ports are in order, and what they do not say comes from the
//! catalogue.

use std::collections::BTreeMap;

use banchi_common::abi::Transport;

use crate::policy::catalogue;
use crate::policy::diagnostic::{Diagnostic, Diagnostics, closest};
use crate::policy::source::{Span, Spanned};
use crate::policy::words::{Name, Sent};
use crate::policy::{codes, model, ports, read, syntax};

use super::sites::ServiceSite;
use super::{DEFAULT_WINDOW, Defined, Resolver};

impl Resolver<'_, '_> {
    pub(super) fn services(&mut self, services: &[Defined<syntax::Service>]) {
        for (name, service) in services {
            let id = service.as_ref().and_then(|service| self.service(name, service));
            self.services.ids.insert(name.value.0.clone(), id);
        }
    }

    /// The service of a name: one of the policy, or one of the catalogue.
    pub(super) fn find_service(&mut self, name: &Spanned<Name>) -> Option<usize> {
        if !self.services.ids.contains_key(&name.value.0)
            && let Some(entry) = catalogue::find(&name.value.0)
        {
            let site = ServiceSite { name: name.span, port: None, reply_from: None, table: BTreeMap::new() };
            let id = self.add_service(entry.service.clone(), site);
            self.services.ids.insert(name.value.0.clone(), Some(id));
        }
        if let Some(id) = self.services.ids.get(&name.value.0) {
            return *id;
        }
        let own: Vec<&str> = self.services.ids.keys().map(String::as_str).collect();
        let message = format!("there is no service `{}`", name.value.0);
        let mut help = did_you_mean(&name.value.0, &[own.as_slice(), &catalogued()].concat());
        if !own.is_empty() {
            help.push_str(&format!("services of this policy: `{}`; ", own.join("`, `")));
        }
        help.push_str("`banchi services` lists those of the catalogue");
        self.diagnostics.push(Diagnostic::new(&codes::UNKNOWN_NAME, message).label(name.span, "").help(help));
        None
    }

    fn service(&mut self, name: &Spanned<Name>, service: &syntax::Service) -> Option<usize> {
        let base = match &service.like {
            Some(like) => Some(&self.base(like)?.service),
            None => None,
        };
        let defined = define(name, service, base, self.diagnostics)?;
        let table = match service.port.as_ref().map(|port| &port.value) {
            Some(ports::ServerPort::ByAddress(entries)) => {
                entries.iter().map(|(host, _)| (host.value.0, host.span)).collect()
            }
            _ => BTreeMap::new(),
        };
        let site = ServiceSite {
            name: name.span,
            port: service.port.as_ref().map(|port| port.span),
            reply_from: service.reply_from.as_ref().map(|ports| ports.span),
            table,
        };
        Some(self.add_service(defined, site))
    }

    fn base(&mut self, like: &Spanned<Name>) -> Option<&'static catalogue::Entry> {
        let name = like.value.0.as_str();
        let found = catalogue::find(name);
        if found.is_none() {
            let help = if self.services.ids.contains_key(name) {
                "`like` starts from the catalogue only, not from another service of the policy; ".to_owned()
            } else {
                did_you_mean(name, &catalogued())
            };
            self.diagnostics.push(
                Diagnostic::new(&codes::UNKNOWN_NAME, format!("the catalogue has no service `{name}`"))
                    .label(like.span, "")
                    .help(format!("{help}`banchi services` lists the catalogue")),
            );
        }
        found
    }

    fn add_service(&mut self, service: model::Service, site: ServiceSite) -> usize {
        self.policy.services.push(service);
        self.sites.services.push(site);
        self.policy.services.len() - 1
    }
}

fn catalogued() -> Vec<&'static str> {
    catalogue::entries().iter().map(|entry| entry.service.name.as_str()).collect()
}

fn did_you_mean(word: &str, names: &[&str]) -> String {
    closest(word, names.iter().copied()).map_or_else(String::new, |name| format!("did you mean `{name}`? "))
}

/// A service from its keys; what they do not say is that of `base`.
pub(crate) fn define(
    name: &Spanned<Name>,
    service: &syntax::Service,
    base: Option<&model::Service>,
    diagnostics: &mut Diagnostics,
) -> Option<model::Service> {
    let errors = diagnostics.errors();
    let missing = |key: &str, help: &str, diagnostics: &mut Diagnostics| {
        // A value that was refused has been reported already.
        if !service.refused {
            diagnostics.push(
                Diagnostic::new(
                    &codes::MISSING_KEY,
                    format!("service `{}` does not say which {key}", name.value.0),
                )
                .label(name.span, "")
                .help(help),
            );
        }
    };
    let Some(transport) = service.transport.as_ref().map(|it| it.value).or(base.map(|base| base.transport))
    else {
        missing("transport", "add `transport: tcp`, or `like: modbus` for one of the catalogue", diagnostics);
        return None;
    };
    keys_fit(transport, service, diagnostics);
    let port = match (&service.port, base) {
        (Some(port), _) => server_port(&port.value, diagnostics),
        (None, Some(base)) => base.port.clone(),
        (None, None) if transport == Transport::Icmp => model::ServerPort::Any,
        (None, None) => {
            missing("port", "add `port: 502`, or `port: any` where every port is meant", diagnostics);
            return None;
        }
    };
    let source_port = match (&service.source_port, base) {
        (Some(port), _) => source_port(&port.value, diagnostics),
        (None, Some(base)) => base.source_port.clone(),
        (None, None) => model::SourcePort::Any,
    };
    let direction = match (&service.direction, base) {
        (Some(direction), _) => Some(resolve_direction(&direction.value)),
        (None, Some(base)) => base.direction.clone(),
        (None, None) => None,
    };
    direction_fits(transport, direction.as_ref(), service, name, diagnostics);
    let (client_may, server_may) = classes(direction.as_ref(), service, base);
    let reply = match (&service.reply, base, transport) {
        (Some(reply), ..) => resolve_reply(&reply.value),
        (None, Some(base), Transport::Udp) if base.transport == transport => base.reply,
        (None, _, Transport::Udp) => model::Reply::Window(DEFAULT_WINDOW),
        _ => model::Reply::Free,
    };
    let reply_from = match (&service.reply_from, base) {
        (Some(ports), _) => reply_ports(&ports.value, diagnostics),
        (None, Some(base)) if transport == Transport::Udp && reply != model::Reply::None => {
            base.reply_from.clone()
        }
        (None, _) => Vec::new(),
    };
    let peer = service.peer.as_ref().map_or(base.is_some_and(|base| base.peer), |peer| peer.value);
    let defined = model::Service {
        name: name.value.0.clone(),
        transport,
        port,
        source_port,
        direction,
        client_may,
        server_may,
        reply,
        reply_from,
        peer,
    };
    relations_fit(&defined, service, name, diagnostics);
    (diagnostics.errors() == errors).then_some(defined)
}

/// What each side may send: what the policy says, else the catalogue, else the protocol.
fn classes(
    direction: Option<&model::Direction>,
    service: &syntax::Service,
    base: Option<&model::Service>,
) -> (model::Classes, model::Classes) {
    use model::{Class, Classes};
    let (client, server) = match (direction, base) {
        (Some(_), Some(base)) if service.direction.is_none() => (base.client_may, base.server_may),
        (Some(model::Direction::Named(protocol)), _) => (protocol.about().client, protocol.about().server),
        _ => (Classes::NONE, Classes::NONE),
    };
    let listed = |list: &Option<Spanned<read::List<Sent>>>, default: Classes| {
        let Some(list) = list else { return default };
        list.value.0.iter().fold(Classes::NONE, |set, class| {
            set.with(match class.value.0 {
                Class::Request => Classes::REQUEST,
                Class::Response => Classes::RESPONSE,
                Class::Notification => Classes::NOTIFY,
                Class::Undecidable => Classes::NONE,
            })
        })
    };
    let client = listed(&service.client_may, client).with(Classes::REQUEST);
    let server = listed(&service.server_may, server).with(Classes::RESPONSE);
    // Who is asked may answer.
    let answers = if server.holds(Class::Request) { Classes::RESPONSE } else { Classes::NONE };
    (client.with(answers), server)
}

/// Keys that have no meaning for a transport.
fn keys_fit(transport: Transport, service: &syntax::Service, diagnostics: &mut Diagnostics) {
    let icmp = transport == Transport::Icmp;
    let not_udp = transport != Transport::Udp;
    let echo = "icmp itself says what is a request";
    let places = [
        (
            "like",
            service.like.as_ref().map(|like| like.span),
            icmp,
            "the catalogue has services with ports only",
        ),
        ("port", service.port.as_ref().map(|port| port.span), icmp, "icmp has no ports"),
        ("source_port", service.source_port.as_ref().map(|port| port.span), icmp, "icmp has no ports"),
        ("direction", service.direction.as_ref().map(|it| it.span), icmp, echo),
        ("peer", service.peer.as_ref().map(|it| it.span), icmp, "write a rule for each way"),
        (
            "reply",
            service.reply.as_ref().map(|reply| reply.span),
            not_udp,
            "only udp has answers without a connection",
        ),
        (
            "reply_from",
            service.reply_from.as_ref().map(|ports| ports.span),
            not_udp,
            "only udp has answers without a connection",
        ),
    ];
    for (key, span, refused, why) in places {
        if let (Some(span), true) = (span, refused) {
            not_applicable(key, span, why, &format!("remove `{key}`"), diagnostics);
        }
    }
}

/// The direction is one of the transport, and nothing hangs on one that is not there.
fn direction_fits(
    transport: Transport,
    direction: Option<&model::Direction>,
    service: &syntax::Service,
    name: &Spanned<Name>,
    diagnostics: &mut Diagnostics,
) {
    if let Some(model::Direction::Named(protocol)) = direction {
        let about = protocol.about();
        if transport != Transport::Icmp && !about.transports.contains(&transport) {
            let known: Vec<&str> = about.transports.iter().map(|transport| transport.name()).collect();
            // One that comes by `like` is not written: what is, is the other transport.
            let (span, help) = match (&service.direction, &service.transport) {
                (Some(direction), _) => (direction.span, "remove `direction`, or change `transport`"),
                (None, Some(transport)) => {
                    (transport.span, "remove `transport`, or write the service without `like`")
                }
                (None, None) => (name.span, "write the service without `like`"),
            };
            let why = format!("`{}` is known over {} only", about.name, known.join(" and "));
            not_applicable("direction", span, &why, help, diagnostics);
        }
    }
    if let Some(Spanned { value: syntax::Direction::Custom(custom), .. }) = &service.direction {
        tells_apart(custom, diagnostics);
    }
    let lists = [("client_may", &service.client_may), ("server_may", &service.server_may)];
    for (key, list) in lists {
        if let (Some(list), None) = (list, direction) {
            not_applicable(
                key,
                list.span,
                "without `direction` nothing tells what a packet is",
                &format!("add `direction`, or remove `{key}`"),
                diagnostics,
            );
        }
    }
}

/// The two values of a byte are ones that it can have, and differ.
fn tells_apart(custom: &syntax::Discriminator, diagnostics: &mut Diagnostics) {
    let mask = custom.mask.value.0;
    let mut refuse = |span, message: String, help: &str| {
        diagnostics.push(Diagnostic::new(&codes::INVALID_VALUE, message).label(span, "").help(help));
    };
    let values = [("request", &custom.request), ("response", &custom.response)];
    for (key, value) in values {
        if value.value.0 & !mask != 0 {
            refuse(
                value.span,
                format!("`{key}` has bits that `mask` takes away, so no packet is one"),
                "set those bits in `mask`, or clear them here",
            );
            return;
        }
    }
    if custom.request.value.0 == custom.response.value.0 {
        refuse(
            custom.response.span,
            "requests and responses have the same value, so nothing tells them apart".to_owned(),
            "write the bits that differ into `mask`, and what they are into the two values",
        );
    }
}

/// What the compiler can turn round or move to other ports. What comes by `like` counts as well.
fn relations_fit(
    defined: &model::Service,
    service: &syntax::Service,
    name: &Spanned<Name>,
    diagnostics: &mut Diagnostics,
) {
    let port = service.port.as_ref().map(|port| port.span);
    let source_port = service.source_port.as_ref().map(|port| port.span);
    let listed = matches!(defined.port, model::ServerPort::Set(_) | model::ServerPort::Any);
    if defined.peer && !listed {
        not_applicable(
            "peer",
            service.peer.as_ref().map(|peer| peer.span).or(port).unwrap_or(name.span),
            "the port hangs on the server's address, and a client has none there",
            "write a rule and a service for each way",
            diagnostics,
        );
    }
    if defined.reply_from.is_empty() || defined.transport != Transport::Udp {
        return;
    }
    let span = service.reply_from.as_ref().map(|ports| ports.span);
    let span = span.or(source_port).or(port).unwrap_or(name.span);
    if defined.reply == model::Reply::None {
        not_applicable(
            "reply_from",
            span,
            "`reply: none` says that there are no answers",
            "remove one of the two",
            diagnostics,
        );
    }
    if defined.source_port == model::SourcePort::Same && !matches!(defined.port, model::ServerPort::Set(_)) {
        not_applicable(
            "reply_from",
            span,
            "with `source_port: same` the ports must be listed, so that the client's is known",
            "list the ports under `port`, or the client's under `source_port`",
            diagnostics,
        );
    }
}

fn not_applicable(key: &str, span: Span, why: &str, help: &str, diagnostics: &mut Diagnostics) {
    diagnostics.push(
        Diagnostic::new(&codes::KEY_NOT_APPLICABLE, format!("`{key}` does not apply here: {why}"))
            .label(span, "")
            .help(help),
    );
}

fn server_port(port: &ports::ServerPort, diagnostics: &mut Diagnostics) -> model::ServerPort {
    match port {
        ports::ServerPort::Any => model::ServerPort::Any,
        ports::ServerPort::Set(list) => model::ServerPort::Set(ports::merge(list, diagnostics)),
        ports::ServerPort::Linked(linked) => model::ServerPort::Linked {
            base: linked.base.value.0,
            octet: linked.octet.value.0,
            step: linked.step.as_ref().map_or(1, |step| step.value.0),
        },
        ports::ServerPort::ByAddress(entries) => model::ServerPort::ByAddress(
            entries.iter().map(|(host, port)| (host.value.0, port.value)).collect(),
        ),
    }
}

fn source_port(port: &ports::SourcePort, diagnostics: &mut Diagnostics) -> model::SourcePort {
    match port {
        ports::SourcePort::Any => model::SourcePort::Any,
        ports::SourcePort::Ephemeral => model::SourcePort::Ephemeral,
        ports::SourcePort::Same => model::SourcePort::Same,
        ports::SourcePort::Set(list) => model::SourcePort::Set(ports::merge(list, diagnostics)),
    }
}

fn reply_ports(ports: &ports::ReplyFrom, diagnostics: &mut Diagnostics) -> Vec<model::PortRange> {
    match ports {
        ports::ReplyFrom::Any => vec![model::PortRange { first: 1, last: u16::MAX }],
        ports::ReplyFrom::Ephemeral => vec![model::EPHEMERAL],
        ports::ReplyFrom::Set(list) => ports::merge(list, diagnostics),
    }
}

fn resolve_reply(reply: &syntax::Reply) -> model::Reply {
    match reply {
        syntax::Reply::Window(window) if window.strict.as_ref().is_some_and(|strict| strict.value) => {
            model::Reply::Strict(window.window.value.0)
        }
        syntax::Reply::Window(window) => model::Reply::Window(window.window.value.0),
        syntax::Reply::Free => model::Reply::Free,
        syntax::Reply::None => model::Reply::None,
    }
}

fn resolve_direction(direction: &syntax::Direction) -> model::Direction {
    match direction {
        syntax::Direction::Named(protocol) => model::Direction::Named(*protocol),
        syntax::Direction::Custom(custom) => model::Direction::Custom {
            at: custom.at.value.0,
            mask: custom.mask.value.0,
            request: custom.request.value.0,
            response: custom.response.value.0,
        },
    }
}
