//! What the plan beside the manifest requests and the manifest does not.

use grab_model::{Symbol, Window, calendar};

use super::{Finding, FindingKind, Severity, Verification, VerifyError, manifest_snapshot::ManifestSnapshot};
use crate::{
    data_dir::DataDir,
    manifest::{ManifestError, ManifestReader, PLAN_NAME, PlanDifference, PlanFile},
};

impl Verification {
    /// Adds what the plan beside the manifest requests and the manifest does not, and what is wrong with that file.
    /// Skips both while another process is writing: that process takes care of them.
    pub(super) fn expect_planned(
        &mut self,
        data_dir: &DataDir,
        records: &ManifestSnapshot,
    ) -> Result<(), VerifyError> {
        if !records.read(ManifestReader::is_all_asked)? {
            let detail = "what was pending before the manifest was rebuilt is not known: a grab start with the symbols and windows \
                          that were requested before requests the rest";
            let path = data_dir.plan();
            self.findings.push(FindingKind::UnfinishedTask.in_reference(None, path, detail.to_owned()));
        }
        let file = match PlanFile::open(data_dir) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.findings.push(damaged(data_dir, &unreadable(&error)));
                return Ok(());
            }
        };
        // Checked after the file was read and before the manifest is: a process that wrote this file has recorded its
        // content by then.
        if records.is_written() {
            return Ok(());
        }
        let PlanDifference { faults, more, .. } = records.read_now(|now| now.compare(&file))?;
        if !faults.is_empty() {
            let detail = format!("{}: `grab resume` rewrites it from the manifest", faults.join("; "));
            self.findings.push(damaged(data_dir, &detail));
        }
        let more: Vec<_> =
            more.into_iter().filter(|(_, window)| calendar::sessions(*window).next().is_some()).collect();
        self.expect(&more, unrecorded_window);
        for (symbol, window) in more {
            self.requested.entry(symbol).or_default().push(window);
        }
        Ok(())
    }
}

fn unreadable(error: &ManifestError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn damaged(data_dir: &DataDir, detail: &str) -> Finding {
    let finding = FindingKind::CorruptFile.in_reference(None, data_dir.plan(), detail.to_owned());
    Finding { severity: Severity::Notice, ..finding }
}

fn unrecorded_window(symbol: &Symbol, window: Window) -> Finding {
    let detail = format!("{PLAN_NAME} requests {window}, and the manifest does not: `grab resume` adds it");
    FindingKind::UnfinishedTask.on(symbol, &(window.from()..=window.to()), detail)
}
