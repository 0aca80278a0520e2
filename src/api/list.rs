//! Lists: all pages, a limit on their number and time, and a check of the total that the API announces.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use super::{ApiClient, PAGE_BYTES};
use crate::http::{HttpError, Request, host_of};

pub const MAX_PAGES: usize = 1000;
const PARALLEL_PAGES: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("could not {step}: the API announced {announced} entries and listed {listed}")]
    Total { step: &'static str, announced: usize, listed: usize },
    #[error("could not {step}: {host}: the list was not complete after {} seconds", .bound.as_secs_f32())]
    Late { step: &'static str, host: String, bound: Duration },
    #[error("could not {step}: the list does not end within {} pages", MAX_PAGES)]
    Endless { step: &'static str },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    #[serde(alias = "organizations", alias = "workspaces")]
    items: Vec<T>,
    limit: Option<usize>,
    total_count: Option<usize>,
}

impl ApiClient<'_> {
    pub(super) async fn list<T>(&self, step: &'static str, url: Url, limit: usize) -> Result<Vec<T>, ListError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let bound = self.http.limits().list;
        let late = ListError::Late { step, host: host_of(&url), bound };
        timeout(bound, self.all_pages(step, &url, limit)).await.unwrap_or(Err(late))
    }

    async fn all_pages<T>(&self, step: &'static str, url: &Url, limit: usize) -> Result<Vec<T>, ListError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let request = |limit: usize, offset: usize| {
            let mut url = url.clone();
            url.query_pairs_mut().append_pair("limit", &limit.to_string()).append_pair("offset", &offset.to_string());
            self.get(step, &url).map(|request| request.at_most(PAGE_BYTES))
        };
        let first = fetch::<T>(request(limit, 0)?).await?;
        let total = first.total_count;
        // A server may use a smaller page size than requested.
        let size = first.limit.filter(|&served| served > 0).map_or(limit, |served| served.min(limit));
        let mut items = first.items;
        let mut page_was_full = items.len() >= size;
        let mut pages = 1;
        while page_was_full {
            // Without a total, the next page is fetched only after a full one.
            let left = total.map_or(1, |total| total.saturating_sub(items.len()).div_ceil(size).max(1));
            if pages + left > MAX_PAGES {
                return Err(ListError::Endless { step });
            }
            let count = left.min(PARALLEL_PAGES);
            let mut running = JoinSet::new();
            for index in 0..count {
                let request = request(size, items.len() + index * size)?;
                running.spawn(async move { (index, fetch::<T>(request).await) });
            }
            let mut batch = running.join_all().await;
            batch.sort_by_key(|(index, _)| *index);
            for (_, page) in batch {
                let more = page?.items;
                // A page after a short one must be empty; the comparison with the total catches other ones.
                page_was_full = more.len() >= size;
                items.extend(more);
            }
            pages += count;
        }
        match total {
            Some(announced) if announced != items.len() => {
                Err(ListError::Total { step, announced, listed: items.len() })
            }
            Some(_) | None => Ok(items),
        }
    }
}

async fn fetch<T: DeserializeOwned>(request: Request) -> Result<Page<T>, HttpError> {
    request.send().await?.success_json()
}
