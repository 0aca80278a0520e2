//! A line diff of an edit.

/// Lines that went, marked `-`, and lines that came, marked `+`, in the order of the longest common subsequence.
pub(crate) fn diff(before: &str, after: &str) -> Vec<String> {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let mut common = vec![vec![0; after.len() + 1]; before.len() + 1];
    for one in (0..before.len()).rev() {
        for other in (0..after.len()).rev() {
            common[one][other] = if before[one] == after[other] {
                common[one + 1][other + 1] + 1
            } else {
                common[one + 1][other].max(common[one][other + 1])
            };
        }
    }
    let (mut one, mut other, mut lines) = (0, 0, Vec::new());
    while one < before.len() || other < after.len() {
        if one < before.len() && other < after.len() && before[one] == after[other] {
            (one, other) = (one + 1, other + 1);
        } else if other == after.len() || (one < before.len() && common[one + 1][other] >= common[one][other + 1]) {
            lines.push(format!("-{}", before[one]));
            one += 1;
        } else {
            lines.push(format!("+{}", after[other]));
            other += 1;
        }
    }
    lines
}
