//! Order of things that each name at most one parent.

/// The positions of one closed chain of parents, each followed by its parent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the parents of {} things form a cycle", .0.len())]
pub struct Cycle(pub Vec<usize>);

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Unseen,
    OnPath,
    Done,
}

/// Positions so that every parent stands before its children; things without a common line keep their given order.
/// `parents[i]` is the position of the parent of `i`. Runs in linear time and without recursion.
///
/// # Errors
/// Every cycle, once.
pub fn topological_order(parents: &[Option<usize>]) -> Result<Vec<usize>, Vec<Cycle>> {
    let mut marks = vec![Mark::Unseen; parents.len()];
    let mut order = Vec::with_capacity(parents.len());
    let mut cycles = Vec::new();
    for start in 0..parents.len() {
        let mut path = Vec::new();
        let mut next = Some(start);
        while let Some(index) = next.filter(|index| marks[*index] == Mark::Unseen) {
            marks[index] = Mark::OnPath;
            path.push(index);
            next = parents[index];
        }
        if let Some(met) = next.filter(|index| marks[*index] == Mark::OnPath) {
            cycles.push(Cycle(path.iter().copied().skip_while(|index| *index != met).collect()));
        }
        for index in path.into_iter().rev() {
            marks[index] = Mark::Done;
            order.push(index);
        }
    }
    if cycles.is_empty() { Ok(order) } else { Err(cycles) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parents_come_first_and_order_is_kept() {
        assert_eq!(topological_order(&[Some(2), None, Some(1), None]), Ok(vec![1, 2, 0, 3]));
        assert_eq!(topological_order(&[]), Ok(vec![]));
    }

    #[test]
    fn each_cycle_is_named_once() {
        // 0 → 1 → 2 → 1, 3 → 3, 4 free.
        let cycles = topological_order(&[Some(1), Some(2), Some(1), Some(3), None]).unwrap_err();
        assert_eq!(cycles, [Cycle(vec![1, 2]), Cycle(vec![3])]);
    }

    proptest! {
        #[test]
        fn an_order_is_a_permutation_with_parents_first_and_a_refusal_names_a_real_cycle(
            parents in (1usize..40).prop_flat_map(|n| prop::collection::vec(prop::option::of(0..n), n))
        ) {
            match topological_order(&parents) {
                Ok(order) => {
                    let mut sorted = order.clone();
                    sorted.sort_unstable();
                    prop_assert_eq!(sorted, (0..parents.len()).collect::<Vec<_>>());
                    let place = |wanted| order.iter().position(|index| *index == wanted);
                    for (child, parent) in parents.iter().enumerate() {
                        if let Some(parent) = parent {
                            prop_assert!(place(*parent) < place(child));
                        }
                    }
                }
                Err(cycles) => {
                    for Cycle(cycle) in cycles {
                        for (position, index) in cycle.iter().enumerate() {
                            prop_assert_eq!(parents[*index], Some(cycle[(position + 1) % cycle.len()]));
                        }
                    }
                }
            }
        }
    }
}
