//! A session at an MQTT broker: each message is taken when the broker says so (QoS 1).

use std::path::PathBuf;
use std::time::Duration;

use rumqttc::{
    AsyncClient, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS, TlsConfiguration, Transport,
};
use tokio::time::timeout;

use super::link::{Unsent, client_config};
use super::store::Message;
use crate::config::{Scheme, Target, Tls};

/// Messages on their way at a time, and room for what is asked of the session.
const UNDER_WAY: usize = 64;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Bytes of a packet.
const LARGEST: usize = 64 << 10;
/// How long a good-bye may take.
const GOOD_BYE: Duration = Duration::from_secs(1);

/// A broker, and how to speak with it.
pub(super) struct Broker {
    pub(super) to: Target,
    pub(super) topic: String,
    pub(super) client_id: String,
    pub(super) login: Option<(String, PathBuf)>,
    pub(super) tls: Tls,
}

/// A connection to it.
pub(super) struct Session {
    client: AsyncClient,
    events: EventLoop,
    topic: String,
}

impl Broker {
    pub(super) async fn connect(&self) -> Result<Session, String> {
        let mut options = MqttOptions::new(&self.client_id, &self.to.host, self.to.port);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_max_packet_size(LARGEST, LARGEST);
        options.set_inflight(UNDER_WAY as u16);
        if let Some((name, file)) = &self.login {
            let text = std::fs::read_to_string(file);
            let text = text.map_err(|e| format!("cannot read {}: {e}", file.display()))?;
            options.set_credentials(name, text.lines().next().unwrap_or_default());
        }
        if self.to.scheme == Scheme::Mqtts {
            let config = TlsConfiguration::Rustls(client_config(&self.tls)?);
            options.set_transport(Transport::tls_with_config(config));
        }
        let (client, mut events) = AsyncClient::new(options, UNDER_WAY + 8);
        // What is under way when a session breaks is sent again in the next one: it need not remember.
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => break,
                Ok(_) => {}
                Err(error) => return Err(format!("cannot connect: {error}")),
            }
        }
        Ok(Session { client, events, topic: self.topic.clone() })
    }
}

impl Session {
    pub(super) async fn send(&mut self, batch: &[Message]) -> Result<(), Unsent> {
        let mut taken = 0;
        for part in batch.chunks(UNDER_WAY) {
            for message in part {
                let asked = self.client.try_publish(&self.topic, QoS::AtLeastOnce, false, message.to_vec());
                asked.map_err(|e| (taken, 0, format!("cannot send: {e}")))?;
            }
            let mut answered = 0;
            while answered < part.len() {
                match self.events.poll().await {
                    Ok(Event::Incoming(Packet::PubAck(_))) => answered += 1,
                    Ok(_) => {}
                    // Which of them were taken is not known in order: all of the part come again.
                    Err(error) => return Err((taken, 0, format!("cannot send: {error}"))),
                }
            }
            taken += part.len();
        }
        Ok(())
    }

    pub(super) async fn broken(&mut self) -> String {
        loop {
            if let Err(error) = self.events.poll().await {
                return error.to_string();
            }
        }
    }

    pub(super) async fn close(&mut self) {
        if self.client.try_disconnect().is_err() {
            return;
        }
        let gone = async {
            while !matches!(self.events.poll().await, Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(_)) {}
        };
        let _ = timeout(GOOD_BYE, gone).await;
    }
}
