//! What the criteria say about a sweep, and how clearly.

use serde::Serialize;

use super::Candidate;
use crate::mixture::Criteria;

/// A criterion's choice.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Selected {
    /// The candidate's position.
    pub best: usize,
    /// The next best one's, if there is another.
    pub next: Option<usize>,
    /// By how much it leads: twice the log of a Bayes factor for BIC and ICL.
    pub margin: Option<f64>,
}

impl Selected {
    /// The margin on the scale of Kass & Raftery (1995), *J. Am. Stat. Assoc.* 90, §3.2.
    pub fn strength(&self) -> &'static str {
        match self.margin {
            None => "the only one",
            Some(margin) if margin < 2.0 => "not worth more than a bare mention",
            Some(margin) if margin < 6.0 => "positive",
            Some(margin) if margin < 10.0 => "strong",
            Some(_) => "very strong",
        }
    }
}

/// What the criteria say. Positions are those of the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// By BIC: the choice.
    pub bic: Selected,
    /// By AIC.
    pub aic: Selected,
    /// By ICL.
    pub icl: Selected,
    /// By the score on held-out rows, the margin in nats per sample.
    pub held_out: Option<Selected>,
    /// The fewest parameters within one standard error of the best held-out score.
    pub within_one_standard_error: Option<usize>,
}

/// `None` if no candidate is sound.
pub(super) fn verdict(candidates: &[Candidate]) -> Option<Verdict> {
    let criterion = |value: fn(&Criteria) -> f64| {
        selected(candidates, |candidate| {
            candidate.sound().map(|fit| value(&fit.criteria))
        })
    };
    let scores = |candidate: &Candidate| candidate.sound().and(candidate.held_out);
    let held_out = selected(candidates, |c| scores(c).map(|s| -s.mean_log_likelihood));
    let within = held_out.and_then(|selected| {
        let best = scores(&candidates[selected.best])?;
        let least = best.mean_log_likelihood - best.standard_error;
        let parameters = |i: &usize| {
            candidates[*i]
                .fit
                .as_ref()
                .map_or(usize::MAX, |fit| fit.n_parameters)
        };
        (0..candidates.len())
            .filter(|&i| scores(&candidates[i]).is_some_and(|s| s.mean_log_likelihood >= least))
            .min_by_key(parameters)
    });
    Some(Verdict {
        bic: criterion(|c| c.bic)?,
        aic: criterion(|c| c.aic)?,
        icl: criterion(|c| c.icl)?,
        held_out,
        within_one_standard_error: within,
    })
}

/// The candidate of the least value, and the next.
fn selected(
    candidates: &[Candidate],
    value: impl Fn(&Candidate) -> Option<f64>,
) -> Option<Selected> {
    let mut values: Vec<(f64, usize)> = candidates
        .iter()
        .enumerate()
        .filter_map(|(i, candidate)| value(candidate).map(|value| (value, i)))
        .collect();
    // Of equals the first, which is the smaller.
    values.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (least, best) = *values.first()?;
    let next = values.get(1);
    Some(Selected {
        best,
        next: next.map(|(_, i)| *i),
        margin: next.map(|(value, _)| value - least),
    })
}
