//! What lies outside of one instance: the world, within its grant; the world, kept on a tape; or a
//! tape, in the world's place.

use std::time::Instant;

use longshore_model::error::{Error, Result};
use longshore_model::grant::odbc::Login;
use longshore_model::grant::{Endpoint, Grant};
use tokio::runtime::Handle;

use super::connection::Connection;
use super::http::{HttpClient, Request, Response};
use super::kerberos::{Login as KerberosLogin, Step};
use super::odbc::{self, Process};
use super::scram::{Scram, scram_sha256};
use super::tape::{Player, Recorder, TapeEncode, TapeEnds, Topic};
use super::tls::TlsOptions;
use super::{monotonic_ns, now_ns, random_bytes, sleep};

/// An answer of the outside; none where a tape has no more.
type OutsideAnswer<T> = Result<Result<T>, TapeEnds>;

/// The outside of one instance.
pub struct HostEnv {
    /// What the instance may touch.
    pub grant: Grant,
    way: Backend,
    started: Instant,
    http: HttpClient,
    /// Connections and responses so far: what tells one from another on a tape.
    numbered: u32,
}

enum Backend {
    Live,
    Recording(Recorder),
    Replaying(Player),
}

/// A connection; it leads nowhere where a tape answers.
pub struct Stream {
    number: u32,
    live: Option<Connection>,
}

/// A session over ODBC; it leads nowhere where a tape answers.
pub struct OdbcSession(Option<Process>);

/// A login by Kerberos; it leads nowhere where a tape answers.
pub struct Ticket(Option<KerberosLogin>);

/// An answer to a request.
pub struct Answer {
    number: u32,
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    live: Option<Response>,
}

impl From<Grant> for HostEnv {
    fn from(grant: Grant) -> Self {
        Self::new(grant, Backend::Live)
    }
}

impl HostEnv {
    /// The world within a grant; kept on a tape, if there is one.
    pub fn recorded(grant: Grant, recorder: Option<Recorder>) -> Self {
        Self::new(grant, recorder.map_or(Backend::Live, Backend::Recording))
    }

    /// A tape.
    pub fn played(player: Player) -> Self {
        Self::new(Grant::default(), Backend::Replaying(player))
    }

    fn new(grant: Grant, way: Backend) -> Self {
        let http = HttpClient::default();
        Self { grant, way, started: Instant::now(), http, numbered: 0 }
    }

    /// The plugin was handed rows.
    pub fn input(&self, pieces: &[Vec<u8>]) {
        if let Backend::Recording(recorder) = &self.way {
            recorder.input(pieces);
        }
    }

    /// The plugin gave something.
    pub fn output(&mut self, pieces: &[Vec<u8>]) {
        match &mut self.way {
            Backend::Live => {}
            Backend::Recording(recorder) => recorder.output(pieces),
            Backend::Replaying(player) => player.output(pieces),
        }
    }

    /// A call of the plugin failed.
    pub fn failed(&self) {
        if let Backend::Recording(recorder) = &self.way {
            recorder.fail();
        }
    }

    /// `clock.now`.
    pub fn now(&mut self) -> Result<u64, TapeEnds> {
        self.way.moment(Topic::Now, now_ns)
    }

    /// `clock.monotonic`.
    pub fn monotonic(&mut self) -> Result<u64, TapeEnds> {
        let started = self.started;
        self.way.moment(Topic::Monotonic, || monotonic_ns(started))
    }

    /// `clock.sleep`.
    pub async fn sleep(&self, milliseconds: u32) {
        if !matches!(self.way, Backend::Replaying(_)) {
            sleep(milliseconds).await;
        }
    }

    /// `random.bytes`.
    pub async fn random(&mut self, len: u32) -> OutsideAnswer<Vec<u8>> {
        self.way.answered(Topic::Random, async { random_bytes(len) }).await
    }

    /// `secrets.get`.
    pub async fn secret(&mut self, field: &str) -> OutsideAnswer<String> {
        let secret = async { Ok(self.grant.secret(field)?.reveal().to_owned()) };
        self.way.answered(Topic::Secret, secret).await
    }

    /// `secrets.scram-sha256`.
    pub async fn scram_sha256(
        &mut self,
        field: &str,
        salt: &[u8],
        iterations: u32,
        auth_message: &str,
    ) -> OutsideAnswer<Scram> {
        let scram =
            async { scram_sha256(self.grant.secret(field)?, salt, iterations, auth_message) };
        let answered = self.way.answered(Topic::Scram, scram).await;
        if let (Backend::Recording(recorder), Ok(Ok(scram))) = (&self.way, &answered) {
            recorder.hide(scram);
        }
        answered
    }

    /// `connection.connect`.
    pub async fn connect(&mut self, io: &Handle, endpoint: Endpoint) -> OutsideAnswer<Stream> {
        let number = self.number();
        let mut live = None;
        let connect = async {
            live = Some(Connection::connect(io, &self.grant, endpoint).await?);
            Ok(())
        };
        let connected = self.way.answered(Topic::Connect, connect).await?;
        Ok(connected.map(|()| Stream { number, live }))
    }

    /// `start-tls`.
    pub async fn start_tls(
        &mut self,
        stream: &mut Stream,
        options: &TlsOptions,
    ) -> OutsideAnswer<()> {
        let on = Topic::Tls(stream.number);
        let tls = async { stream.live()?.start_tls(options).await };
        self.way.answered(on, tls).await
    }

    /// `read`.
    pub async fn read(&mut self, stream: &mut Stream, max: u32) -> OutsideAnswer<Vec<u8>> {
        let on = Topic::Read(stream.number);
        let read = async { stream.live()?.read(max).await };
        self.way.piece(on, max, read).await
    }

    /// `write`.
    pub async fn write(&mut self, stream: &mut Stream, bytes: &[u8]) -> Result<()> {
        let on = Topic::Write(stream.number);
        let write = async { stream.live()?.write(bytes).await };
        self.way.done(on, write).await
    }

    /// `cancel_message`.
    pub async fn set_cancel_message(&mut self, stream: &mut Stream, bytes: Vec<u8>) -> Result<()> {
        let on = Topic::CancelMessage(stream.number);
        let cancel_message = async { stream.live()?.set_cancel_message(bytes) };
        self.way.done(on, cancel_message).await
    }

    /// `response.send`.
    pub async fn send(&mut self, io: &Handle, request: Request) -> OutsideAnswer<Answer> {
        let number = self.number();
        let mut live = None;
        let send = async {
            let response = live.insert(self.http.send(io, &self.grant, request).await?);
            Ok((response.status(), response.headers()))
        };
        let sent = self.way.answered(Topic::Request, send).await?;
        Ok(sent.map(|(status, headers)| Answer { number, status, headers, live }))
    }

    /// `read` of a response.
    pub async fn body(&mut self, answer: &mut Answer, max: u32) -> OutsideAnswer<Vec<u8>> {
        let on = Topic::Body(answer.number);
        let body = async { answer.live.as_mut().ok_or_else(leads_nowhere)?.read(max).await };
        self.way.piece(on, max, body).await
    }

    /// `odbc.drivers`: a list in JSON.
    pub async fn odbc_drivers(&mut self, io: &Handle) -> OutsideAnswer<Vec<u8>> {
        let drivers = async {
            let granted = self.grant.odbc()?;
            Ok(serde_json::to_vec(&granted.allowed(odbc::drivers(io).await?)?)?)
        };
        self.way.answered(Topic::Odbc, drivers).await
    }

    /// `odbc.connect`.
    pub async fn odbc_connect(&mut self, io: &Handle, login: &Login) -> OutsideAnswer<OdbcSession> {
        let mut live = None;
        let connect = async {
            live = Some(odbc::connect(io, &self.grant, login).await?);
            Ok(())
        };
        let connected = self.way.answered(Topic::Odbc, connect).await?;
        Ok(connected.map(|()| OdbcSession(live)))
    }

    /// What a session over ODBC is asked; an answer in JSON.
    pub async fn odbc_ask(
        &mut self,
        session: &mut OdbcSession,
        request: &longshore_odbc_wire::Request,
    ) -> OutsideAnswer<Vec<u8>> {
        let ask = async { session.0.as_mut().ok_or_else(leads_nowhere)?.ask(request).await };
        self.way.answered(Topic::Odbc, ask).await
    }

    /// `kerberos.login.begin`.
    pub async fn kerberos_begin(&mut self, service: &str, host: &str) -> OutsideAnswer<Ticket> {
        let mut live = None;
        let begin = async {
            live = Some(KerberosLogin::begin(&self.grant, service, host).await?);
            Ok(())
        };
        let begun = self.way.answered(Topic::Kerberos, begin).await?;
        Ok(begun.map(|()| Ticket(live)))
    }

    /// `step`.
    pub async fn kerberos_step(&mut self, ticket: &Ticket, token: Vec<u8>) -> OutsideAnswer<Step> {
        let step = async { ticket.live()?.step(token).await };
        self.way.answered(Topic::Kerberos, step).await
    }

    /// `wrap`.
    pub async fn kerberos_wrap(
        &mut self,
        ticket: &Ticket,
        message: Vec<u8>,
        encrypt: bool,
    ) -> OutsideAnswer<Vec<u8>> {
        let wrap = async { ticket.live()?.wrap(message, encrypt).await };
        self.way.answered(Topic::Kerberos, wrap).await
    }

    /// `unwrap`.
    pub async fn kerberos_unwrap(
        &mut self,
        ticket: &Ticket,
        message: Vec<u8>,
    ) -> OutsideAnswer<Vec<u8>> {
        let unwrap = async { ticket.live()?.unwrap(message).await };
        self.way.answered(Topic::Kerberos, unwrap).await
    }

    fn number(&mut self) -> u32 {
        self.numbered += 1;
        self.numbered
    }
}

impl Stream {
    fn live(&mut self) -> Result<&mut Connection> {
        self.live.as_mut().ok_or_else(leads_nowhere)
    }
}

impl Ticket {
    fn live(&self) -> Result<&KerberosLogin> {
        self.0.as_ref().ok_or_else(leads_nowhere)
    }
}

fn leads_nowhere() -> Error {
    Error::internal("a connection of a tape leads nowhere")
}

impl Backend {
    async fn answered<T: TapeEncode>(
        &mut self,
        on: Topic,
        live: impl Future<Output = Result<T>>,
    ) -> OutsideAnswer<T> {
        match self {
            Self::Live => Ok(live.await),
            Self::Recording(recorder) => Ok(recorded(recorder, on, live).await),
            Self::Replaying(player) => player.answer(on),
        }
    }

    async fn piece(
        &mut self,
        on: Topic,
        max: u32,
        live: impl Future<Output = Result<Vec<u8>>>,
    ) -> OutsideAnswer<Vec<u8>> {
        match self {
            Self::Replaying(player) => player.piece(on, max),
            _ => self.answered(on, live).await,
        }
    }

    async fn done(&mut self, on: Topic, live: impl Future<Output = Result<()>>) -> Result<()> {
        match self {
            Self::Live => live.await,
            Self::Recording(recorder) => recorded(recorder, on, live).await,
            Self::Replaying(player) => player.done(on),
        }
    }

    fn moment(&mut self, on: Topic, live: impl FnOnce() -> u64) -> Result<u64, TapeEnds> {
        match self {
            Self::Live => Ok(live()),
            Self::Recording(recorder) => {
                let moment = live();
                recorder.answer(on, &Ok(moment));
                Ok(moment)
            }
            Self::Replaying(player) => player.moment(on),
        }
    }
}

async fn recorded<T: TapeEncode>(
    recorder: &Recorder,
    on: Topic,
    live: impl Future<Output = Result<T>>,
) -> Result<T> {
    let answer = live.await;
    recorder.answer(on, &answer);
    answer
}
