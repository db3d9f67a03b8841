//! The scheduler, as a driver asks it.

use std::sync::Arc;

use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::execute_query_result;
use ballista_core::serde::protobuf::job_status::Status;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelJobParams, ExecuteQueryParams, GetJobStatusParams, RemoveSessionParams,
};
use ballista_core::version::insert_version_header;
use datafusion::error::Result as DfResult;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use longshore_model::config::cluster::ClusterUrl;
use longshore_model::error::{Class, Error, Result};
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::message::Hello;
use crate::plan::codec;
use crate::scheduler::hello;
use crate::tls::{ClusterTls, told};

/// A scheduler.
#[derive(Clone)]
pub(crate) struct SchedulerClient {
    url: String,
    channel: Channel,
}

/// What became of a job of Ballista's.
pub(super) enum JobState {
    /// It waits, or a task of it runs.
    Open,
    /// It is over, and its executor should have told.
    Over,
    /// It was given up, for this reason.
    Failed(String),
    /// The scheduler knows nothing of it: it may have been started again.
    Unknown,
}

impl SchedulerClient {
    pub(crate) fn new(url: &ClusterUrl, tls: &ClusterTls) -> Result<Self> {
        let url = url.to_string();
        Ok(Self { channel: tls.channel(&url)?, url })
    }

    /// Its URL.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Who it is. A scheduler of another version is refused.
    pub(crate) async fn greet(&self) -> Result<Hello> {
        hello(&self.channel, &self.url).await
    }

    fn client(&self) -> SchedulerGrpcClient<Channel> {
        SchedulerGrpcClient::new(self.channel.clone())
    }

    fn fault(&self, status: &tonic::Status) -> Error {
        let class = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => Class::Auth,
            Code::FailedPrecondition | Code::InvalidArgument => Class::Config,
            Code::Internal => Class::Internal,
            Code::DeadlineExceeded => Class::Timeout,
            _ => Class::Connection,
        };
        Error::new(class, format!("the scheduler at {}: {}", self.url, told(status)))
    }

    /// Whether a plan can be sent.
    pub(super) fn can_carry(&self, plan: Arc<dyn ExecutionPlan>) -> bool {
        let encoded = encode(plan);
        encoded.inspect_err(|why| tracing::debug!("{why}: one executor makes all of it")).is_ok()
    }

    /// Hands a plan over; gives the name of the job. Sessions keep jobs apart from those of others.
    pub(super) async fn submit(
        &self,
        session: &str,
        plan: Arc<dyn ExecutionPlan>,
    ) -> Result<String> {
        let bytes = encode(plan).map_err(|error| Error::internal(error.to_string()))?;
        let mut request = Request::new(ExecuteQueryParams {
            session_id: session.to_owned(),
            settings: Vec::new(),
            operation_id: String::new(),
            query: Some(Query::PhysicalPlan(bytes)),
        });
        insert_version_header(request.metadata_mut());
        let answer = self.client().execute_query(request).await;
        match answer.map_err(|status| self.fault(&status))?.into_inner().result {
            Some(execute_query_result::Result::Success(accepted)) => Ok(accepted.job_id),
            other => Err(Error::internal(format!("the scheduler refused a plan: {other:?}"))),
        }
    }

    /// What became of a job.
    pub(super) async fn state(&self, job: &str) -> Result<JobState> {
        let asked = GetJobStatusParams { job_id: job.to_owned() };
        let answer = self.client().get_job_status(asked).await;
        let status = match answer {
            Ok(answer) => answer.into_inner().status.and_then(|status| status.status),
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => return Err(self.fault(&status)),
        };
        Ok(match status {
            None => JobState::Unknown,
            Some(Status::Queued(_) | Status::Running(_)) => JobState::Open,
            Some(Status::Successful(_)) => JobState::Over,
            Some(Status::Failed(failed)) => JobState::Failed(failed.error),
        })
    }

    /// Gives a job up. Who carries it out is told by the driver.
    pub(super) async fn cancel(&self, job: String) {
        let asked = CancelJobParams { job_id: job };
        if let Err(status) = self.client().cancel_job(asked).await {
            tracing::debug!("{}", self.fault(&status));
        }
    }

    /// Forgets a session.
    pub(super) async fn forget(&self, session: String) {
        let asked = RemoveSessionParams { session_id: session };
        if let Err(status) = self.client().remove_session(asked).await {
            tracing::debug!("{}", self.fault(&status));
        }
    }
}

fn encode(plan: Arc<dyn ExecutionPlan>) -> DfResult<Vec<u8>> {
    let (codec, mut bytes) = (codec(None), Vec::new());
    PhysicalPlanNode::try_from_physical_plan(plan, codec.physical_extension_codec())?
        .try_encode(&mut bytes)?;
    Ok(bytes)
}
