//! The servers of a group and their sessions: who is fit, and whom the rule makes of them.

use gatepost_core::{Guest, Instant, Judgement, Server};

use super::health::Health;
use super::random::Die;
use super::{Key, Member, Name, Rule, Settings, hash, least_conn, network_of, random, round_robin};

/// One server and what there is to know of it.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Its number, which no other server of the group has or will have.
    id: u64,
    /// Where it stands in the configuration: before so many members, and of which name it comes.
    rank: (usize, usize),
    pub(super) member: Member,
    /// Its sessions.
    pub(super) sessions: u32,
    /// How long it has been waiting for its turn (`round_robin`).
    pub(super) due: i64,
    health: Health,
}

/// The name that no server comes of which stands in the configuration itself.
const NO_NAME: usize = usize::MAX;

/// A session's place at a server.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: u64,
    pub(super) server: Server,
    /// Whether the server is on trial, and this session does not know yet.
    pub(super) on_trial: bool,
}

/// All of them, in the order of the configuration, and those of one name in that of their addresses.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    rule: Rule,
    peers: Vec<Peer>,
    /// Where each name stands.
    ranks: Vec<(usize, usize)>,
    /// How many there have been.
    numbered: u64,
}

impl Peers {
    pub(super) fn new(settings: &Settings, names: &[Name]) -> Self {
        let ranks = names.iter().enumerate().map(|(at, name)| (name.before, at)).collect();
        let mut peers = Self { rule: settings.rule, peers: Vec::new(), ranks, numbered: 0 };
        for (at, member) in settings.members.iter().enumerate() {
            peers.add((at, NO_NAME), member.clone());
        }
        for (at, name) in names.iter().enumerate() {
            peers.renew(at, name.members(&name.addresses));
        }
        peers
    }

    fn add(&mut self, rank: (usize, usize), member: Member) {
        let id = self.numbered;
        self.numbered += 1;
        self.peers.push(Peer { id, rank, member, sessions: 0, due: 0, health: Health::Sound });
    }

    /// Lets a name stand for these servers; tells whether that changes anything. Those that it stood for before are as they were.
    pub(super) fn renew(&mut self, name: usize, members: Vec<Member>) -> bool {
        let Some(&rank) = self.ranks.get(name) else { return false };
        let before = self.peers.len();
        let is = |peer: &Peer, member: &Member| peer.rank == rank && peer.member.server == member.server;
        self.peers.retain(|peer| peer.rank != rank || members.iter().any(|member| is(peer, member)));
        let removed = before - self.peers.len();
        let is_new = |member: &Member| !self.peers.iter().any(|peer| is(peer, member));
        let new: Vec<Member> = members.into_iter().filter(is_new).collect();
        let added = new.len();
        for member in new {
            self.add(rank, member);
        }
        self.peers.sort_by_key(|peer| (peer.rank, peer.member.server.address.ip()));
        removed + added > 0
    }

    /// The next server for `guest`, which has one session more from now on.
    pub(super) fn pick(
        &mut self,
        guest: &Guest,
        tried: &[u64],
        now: Instant,
        die: &mut Die,
    ) -> Option<Place> {
        let chosen = [false, true].into_iter().find_map(|backup| {
            let among = self.fit(backup, tried, now);
            match among.as_slice() {
                [] => None,
                [only] => Some(*only),
                // Those that stand in share the work whoever it was meant for.
                several if backup => round_robin::choose(&mut self.peers, several),
                several => self.by_rule(several, guest, die),
            }
        })?;
        let peer = self.peers.get_mut(chosen)?;
        peer.sessions = peer.sessions.saturating_add(1);
        peer.health = peer.health.taken();
        let on_trial = peer.health == Health::OnTrial;
        Some(Place { id: peer.id, server: peer.member.server.clone(), on_trial })
    }

    /// Whoever may have another session.
    fn fit(&self, backup: bool, tried: &[u64], now: Instant) -> Vec<usize> {
        // nginx, too, knows no better than to go on with the only one there is.
        let alone = self.peers.len() == 1;
        let fits = |(_, peer): &(usize, &Peer)| {
            let Member { down, max_conns, .. } = peer.member;
            let has_room = max_conns == 0 || peer.sessions < max_conns;
            peer.member.backup == backup
                && !down
                && has_room
                && (alone || peer.health.admits(now))
                && !tried.contains(&peer.id)
        };
        self.peers.iter().enumerate().filter(fits).map(|(at, _)| at).collect()
    }

    fn by_rule(&mut self, among: &[usize], guest: &Guest, die: &mut Die) -> Option<usize> {
        let hashed = match self.rule {
            Rule::RoundRobin => None,
            Rule::LeastConn => {
                let least = least_conn::least(&self.peers, among);
                return round_robin::choose(&mut self.peers, &least);
            }
            Rule::Random { two } => return random::choose(&self.peers, among, two, die),
            Rule::IpHash => hash::by_network(&self.peers, among, &network_of(guest.address)),
            Rule::Hash { key, consistent } => {
                let address = guest.address.map_or_else(|| "unix:".to_owned(), |address| address.to_string());
                let key = match key {
                    Key::Address => address.as_bytes(),
                    Key::Login => &guest.login,
                };
                match consistent {
                    true => hash::rendezvous(&self.peers, among, key),
                    false => hash::by_key(&self.peers, among, key),
                }
            }
        };
        hashed.or_else(|| round_robin::choose(&mut self.peers, among))
    }

    /// The server of this number, if it is still there.
    fn numbered(&mut self, id: u64) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.id == id)
    }

    /// What a session has found this server to be.
    pub(super) fn judge(&mut self, id: u64, judgement: Judgement, now: Instant) {
        if let Some(peer) = self.numbered(id) {
            let Member { max_fails, fail_timeout, .. } = peer.member;
            peer.health = peer.health.judged(judgement, now, max_fails, fail_timeout);
        }
    }

    /// A session with this server is over, which may have been to try it and still not know.
    pub(super) fn release(&mut self, id: u64, on_trial: bool) {
        if let Some(peer) = self.numbered(id) {
            peer.sessions = peer.sessions.saturating_sub(1);
            if on_trial {
                peer.health = peer.health.left();
            }
        }
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> &[Peer] {
        &self.peers
    }
}
