//! Puts rules into the kernel and takes them out again, as a whole or not at all.

use std::path::{Path, PathBuf};

use crate::system::redirect::capture::{Addresses, Capture, Family};
use crate::system::redirect::record::{Counters, Rules, Tool};
use crate::system::redirect::tools::{Iptables, ToolError, Tools, done, run};
use crate::system::redirect::{iptables, nft, routes};

/// The rules of this network namespace, and what changes them.
#[derive(Clone, Debug)]
pub struct Kernel {
    tools: Tools,
    tool: Tool,
}

/// What is there already.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Existing {
    /// Something by our name that this program did not make.
    Foreign,
    /// Nothing.
    None,
    /// Rules that this program made, with this id.
    Ours(Box<str>),
}

/// Why rules could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Neither of the two.
    #[error("neither `nft` (package nftables) nor `iptables-restore` (package iptables) is installed")]
    NoTool,
    /// What wrote the rules has gone.
    #[error("`{0}`, which the rules need, is not installed")]
    Missing(&'static str),
    /// It complained.
    #[error(transparent)]
    Tool(#[from] ToolError),
}

impl Kernel {
    /// With nft, else with iptables.
    ///
    /// # Errors
    /// Neither is installed.
    pub fn new(tools: Tools) -> Result<Self, KernelError> {
        let tool = match (&tools.nft, &tools.iptables) {
            (Some(_), _) => Tool::Nft,
            (None, Some(_)) => Tool::Iptables,
            (None, None) => return Err(KernelError::NoTool),
        };
        Ok(Self { tools, tool })
    }

    /// With the one that wrote certain rules.
    pub fn of(tools: Tools, tool: Tool) -> Self {
        Self { tools, tool }
    }

    /// Which of the two.
    pub fn tool(&self) -> Tool {
        self.tool
    }

    /// `ip`, which TPROXY needs.
    ///
    /// # Errors
    /// It is not installed.
    pub fn ip(&self) -> Result<&Path, KernelError> {
        self.tools.ip.as_deref().ok_or(KernelError::Missing("ip (package iproute2)"))
    }

    /// What stands there under our name.
    ///
    /// # Errors
    /// What the tool complains about.
    pub fn existing(&self) -> Result<Existing, KernelError> {
        match self.tool {
            Tool::Nft => Ok(match self.listing()? {
                None => Existing::None,
                Some(listing) => nft::id(&listing).map_or(Existing::Foreign, |id| Existing::Ours(id.into())),
            }),
            Tool::Iptables => {
                let saved = self.saved()?;
                let all: Vec<&str> = saved.iter().flat_map(|(_, saved)| iptables::ids(saved)).collect();
                let first = all.first().copied();
                Ok(match first {
                    None => Existing::None,
                    Some(id) if all.iter().all(|other| *other == id) => Existing::Ours(id.into()),
                    Some(_) => Existing::Foreign,
                })
            }
        }
    }

    /// Adds all of it, or nothing.
    ///
    /// # Errors
    /// What a tool complains about; what had been added is removed again.
    pub fn add(&self, capture: &Capture) -> Result<(), KernelError> {
        let added = self.try_adding(capture);
        if added.is_err() {
            // The first complaint says more than a second one.
            let _ = self.remove(&Rules { tool: self.tool, capture: capture.clone() });
        }
        added
    }

    fn try_adding(&self, capture: &Capture) -> Result<(), KernelError> {
        if let Some(tproxy) = capture.forwarded.as_ref().and_then(|forwarded| forwarded.tproxy) {
            // Before the rule, which would otherwise send its packets on.
            routes::add(self.ip()?, tproxy, has_v6())?;
        }
        match self.tool {
            Tool::Nft => {
                done(self.nft()?, &["-f", "-"], &nft::table(capture))?;
            }
            Tool::Iptables => {
                for (family, restore, _) in self.iptables()? {
                    done(&restore, &RESTORE, &iptables::add(capture, family))?;
                }
            }
        }
        Ok(())
    }

    /// Puts other addresses in place of those in force.
    ///
    /// # Errors
    /// What the tool complains about.
    pub fn refresh(&self, capture: &Capture, hosts: &Addresses) -> Result<(), KernelError> {
        match self.tool {
            Tool::Nft => {
                done(self.nft()?, &["-f", "-"], &nft::refresh(hosts))?;
            }
            Tool::Iptables => {
                for (family, restore, _) in self.iptables()? {
                    done(&restore, &RESTORE, &iptables::refresh(capture, hosts, family))?;
                }
            }
        }
        Ok(())
    }

    /// Removes what is there of these rules, and nothing else; says whether anything was.
    ///
    /// # Errors
    /// What a tool complains about.
    pub fn remove(&self, rules: &Rules) -> Result<bool, KernelError> {
        let mut found = false;
        match self.tool {
            Tool::Nft => {
                if self.existing()? == Existing::Ours(rules.capture.id.clone()) {
                    done(self.nft()?, &["-f", "-"], &nft::remove())?;
                    found = true;
                }
            }
            Tool::Iptables => {
                for ((_, restore, _), (_, saved)) in self.iptables()?.into_iter().zip(self.saved()?) {
                    let script = iptables::remove(&saved, &rules.capture.id);
                    if !script.is_empty() {
                        done(&restore, &RESTORE, &script)?;
                        found = true;
                    }
                }
            }
        }
        if let Some(tproxy) = rules.capture.forwarded.as_ref().and_then(|forwarded| forwarded.tproxy) {
            routes::remove(self.ip()?, tproxy)?;
        }
        Ok(found)
    }

    /// Packets by what they were; empty where the rules have gone.
    ///
    /// # Errors
    /// What the tool complains about.
    pub fn counters(&self, id: &str) -> Result<Counters, KernelError> {
        let mut counters = Counters::new();
        match self.tool {
            Tool::Nft => {
                if let Some(listing) = self.listing()?.filter(|listing| nft::id(listing) == Some(id)) {
                    counters = nft::counters(&listing);
                }
            }
            Tool::Iptables => {
                for (_, _, save) in self.iptables()? {
                    iptables::count(&done(&save, &["-c"], "")?, id, &mut counters);
                }
            }
        }
        Ok(counters)
    }

    /// The table of our name, if there is one.
    fn listing(&self) -> Result<Option<String>, KernelError> {
        let nft = self.nft()?;
        let wanted = format!("table inet {}", nft::TABLE);
        if !done(nft, &["list", "tables"], "")?.lines().any(|line| line.trim() == wanted) {
            return Ok(None);
        }
        Ok(Some(done(nft, &["list", "table", "inet", nft::TABLE], "")?))
    }

    /// What is in force, by family.
    fn saved(&self) -> Result<Vec<(Family, String)>, KernelError> {
        let programs = self.iptables()?.into_iter();
        programs.map(|(family, _, save)| Ok((family, done(&save, &[], "")?))).collect()
    }

    fn nft(&self) -> Result<&Path, KernelError> {
        self.tools.nft.as_deref().ok_or(KernelError::Missing("nft (package nftables)"))
    }

    /// Each family with its programs to restore and to save.
    fn iptables(&self) -> Result<Vec<(Family, PathBuf, PathBuf)>, KernelError> {
        let Some(Iptables { v4, v6 }) = self.tools.iptables.clone() else {
            return Err(KernelError::Missing("iptables-restore (package iptables)"));
        };
        let v6 = v6.filter(|_| has_v6());
        let both = [(Family::V4, Some(v4)), (Family::V6, v6)].into_iter();
        let mut programs = Vec::new();
        for (family, pair) in both {
            // One that the kernel lacks the part for has no rules either.
            if let Some((restore, save)) = pair
                && (family == Family::V4 || run(&save, &[], "")?.status.success())
            {
                programs.push((family, restore, save));
            }
        }
        Ok(programs)
    }
}

/// Whether the kernel speaks IPv6.
fn has_v6() -> bool {
    Path::new("/proc/self/net/if_inet6").exists()
}

/// Adds to what is there, and waits for whoever changes it now.
const RESTORE: [&str; 3] = ["--noflush", "--wait", "5"];
