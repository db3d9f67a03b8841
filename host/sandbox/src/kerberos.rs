//! From the generated `kerberos` to the capability.

use wasmtime::component::Resource;

use super::contract::v0_6::kerberos;
use super::store::{State, ToGuest, to_wire};
use crate::capability::host_env::Ticket;

impl kerberos::Host for State {
    async fn granted(&mut self) -> wasmtime::Result<bool> {
        self.count()?;
        Ok(self.env.grant.kerberos.is_some())
    }
}

impl kerberos::HostLogin for State {
    async fn begin(&mut self, service: String, host: String) -> ToGuest<Resource<Ticket>> {
        self.count()?;
        match self.env.kerberos_begin(&service, &host).await? {
            Ok(ticket) => Ok(Ok(self.keep(ticket)?)),
            Err(error) => Ok(Err(to_wire(&error))),
        }
    }

    async fn step(&mut self, login: Resource<Ticket>, token: Vec<u8>) -> ToGuest<kerberos::Step> {
        self.count()?;
        let stepped = self.env.kerberos_step(self.objects.get(&login)?, token).await?;
        let step = stepped.map(|step| kerberos::Step { token: step.token, done: step.done });
        Ok(step.map_err(|error| to_wire(&error)))
    }

    async fn wrap(
        &mut self,
        login: Resource<Ticket>,
        message: Vec<u8>,
        encrypt: bool,
    ) -> ToGuest<Vec<u8>> {
        self.count()?;
        let wrapped = self.env.kerberos_wrap(self.objects.get(&login)?, message, encrypt).await?;
        Ok(wrapped.map_err(|error| to_wire(&error)))
    }

    async fn unwrap(&mut self, login: Resource<Ticket>, message: Vec<u8>) -> ToGuest<Vec<u8>> {
        self.count()?;
        let plain = self.env.kerberos_unwrap(self.objects.get(&login)?, message).await?;
        Ok(plain.map_err(|error| to_wire(&error)))
    }

    async fn drop(&mut self, login: Resource<Ticket>) -> wasmtime::Result<()> {
        self.objects.delete(login)?;
        Ok(())
    }
}
