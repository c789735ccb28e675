//! Services: their keys fit their transport, and their ports are in order.

use std::collections::BTreeMap;

use banchi_common::abi::Transport;

use crate::policy::diagnostic::Diagnostic;
use crate::policy::source::Spanned;
use crate::policy::words::Name;
use crate::policy::{codes, model, ports, syntax};

use super::sites::ServiceSite;
use super::{DEFAULT_WINDOW, Defined, Resolver};

impl Resolver<'_, '_> {
    pub(super) fn services(&mut self, services: &[Defined<syntax::Service>]) {
        for (name, service) in services {
            let id = service.as_ref().and_then(|service| self.service(name, service));
            self.services.ids.insert(name.value.0.clone(), id);
        }
    }

    fn service(&mut self, name: &Spanned<Name>, service: &syntax::Service) -> Option<usize> {
        let transport = service.transport.value;
        let applicable = self.keys_fit(transport, service);
        let port = match &service.port {
            Some(port) => self.server_port(&port.value),
            None if transport == Transport::Icmp => model::ServerPort::Any,
            None => {
                // A value that was refused has been reported already.
                if !service.refused {
                    self.diagnostics.push(
                        Diagnostic::new(
                            &codes::MISSING_KEY,
                            format!("service `{}` does not say which port", name.value.0),
                        )
                        .label(name.span, "")
                        .help("add `port: 502`, or `port: any` where every port is meant"),
                    );
                }
                return None;
            }
        };
        if !applicable {
            return None;
        }
        let table = match service.port.as_ref().map(|port| &port.value) {
            Some(ports::ServerPort::ByAddress(entries)) => {
                entries.iter().map(|(host, _)| (host.value.0, host.span)).collect()
            }
            _ => BTreeMap::new(),
        };
        let source_port = service.source_port.as_ref();
        let source_port = source_port.map_or(model::SourcePort::Any, |port| self.source_port(&port.value));
        self.policy.services.push(model::Service {
            name: name.value.0.clone(),
            transport,
            port,
            source_port,
            direction: service.direction.as_ref().map(|direction| resolve_direction(&direction.value)),
            reply: service.reply.as_ref().map_or(model::Reply::Window(DEFAULT_WINDOW), |reply| match &reply
                .value
            {
                syntax::Reply::Window(window) => model::Reply::Window(window.window.value.0),
                syntax::Reply::Free => model::Reply::Free,
                syntax::Reply::None => model::Reply::None,
            }),
        });
        self.sites.services.push(ServiceSite {
            name: name.span,
            port: service.port.as_ref().map(|port| port.span),
            direction: service.direction.as_ref().map(|direction| direction.span),
            reply: service.reply.as_ref().map(|reply| reply.span),
            table,
        });
        Some(self.policy.services.len() - 1)
    }

    fn keys_fit(&mut self, transport: Transport, service: &syntax::Service) -> bool {
        let icmp = transport == Transport::Icmp;
        let places = [
            ("port", service.port.as_ref().map(|port| port.span), icmp, "icmp has no ports"),
            ("source_port", service.source_port.as_ref().map(|port| port.span), icmp, "icmp has no ports"),
            (
                "direction",
                service.direction.as_ref().map(|it| it.span),
                icmp,
                "icmp itself says what is a request",
            ),
            (
                "reply",
                service.reply.as_ref().map(|reply| reply.span),
                transport != Transport::Udp,
                "only udp has answers without a connection",
            ),
        ];
        let mut fit = true;
        for (key, span, refused, why) in places {
            if let (Some(span), true) = (span, refused) {
                fit = false;
                self.diagnostics.push(
                    Diagnostic::new(
                        &codes::KEY_NOT_APPLICABLE,
                        format!("`{key}` does not apply here: {why}"),
                    )
                    .label(span, "")
                    .help(format!("remove `{key}`")),
                );
            }
        }
        fit
    }

    fn server_port(&mut self, port: &ports::ServerPort) -> model::ServerPort {
        match port {
            ports::ServerPort::Any => model::ServerPort::Any,
            ports::ServerPort::Set(list) => model::ServerPort::Set(ports::merge(list, self.diagnostics)),
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

    fn source_port(&mut self, port: &ports::SourcePort) -> model::SourcePort {
        match port {
            ports::SourcePort::Any => model::SourcePort::Any,
            ports::SourcePort::Ephemeral => model::SourcePort::Ephemeral,
            ports::SourcePort::Same => model::SourcePort::Same,
            ports::SourcePort::Set(list) => model::SourcePort::Set(ports::merge(list, self.diagnostics)),
        }
    }
}

fn resolve_direction(direction: &syntax::Direction) -> model::Direction {
    match direction {
        syntax::Direction::Named(protocol) => model::Direction::Named(protocol.0.to_owned()),
        syntax::Direction::Custom(custom) => model::Direction::Custom {
            at: custom.at.value.0,
            mask: custom.mask.value.0,
            request: custom.request.value.0,
            response: custom.response.value.0,
        },
    }
}
