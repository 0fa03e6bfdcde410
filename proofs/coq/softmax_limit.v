(******************************************************************************)
(* The limit of the softmax: the nearest keys, alike, and how fast.           *)
(*                                                                            *)
(* In words. There are N keys. Key k is D_k away from the target, by any      *)
(* measure of distance, such as the squared distance, and has the score       *)
(* - alpha D_k, with a strength alpha >= 0. A key is nearest if no other has  *)
(* a smaller D                                                   nearest_key  *)
(* There are m of them (ties), and at least one                     ties_gt0  *)
(* A gap is a number gamma by which all other keys are behind the nearest     *)
(* ones, or more                                                         gap  *)
(* Some gap is positive                                           gap_exists  *)
(* For every gap gamma                                                        *)
(*   - the probability of a nearest key is at most 1 / m         nearest_most *)
(*     and at least 1 / (m + (N - m) exp(- alpha gamma))        nearest_least *)
(*     and equal to that if all others are behind by gamma         two_levels *)
(*   - that of any other key is at most exp(- alpha gamma) / m     other_most *)
(*   - all other keys together have at most (N - m) exp(- alpha gamma) / m    *)
(*                                                                missed_most *)
(* Hence, as alpha grows, each nearest key tends to 1 / m, and any other to   *)
(* zero: for every D                                            softmax_limit *)
(* and uniformly: one alpha serves all D on n keys or fewer that have the gap *)
(* gamma > 0                                                  softmax_uniform *)
(* For the squared distance to a point of the grid, on the canvas or off it,  *)
(* just one token is nearest, and 1 is a gap                                  *)
(*                                        grid_nearest, grid_ties, grid_gap   *)
(* so the limit is one-hot there.                                             *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Keys.
Variables (R : realFieldType) (K : finType) (D : K -> R).
Implicit Types (k j : K) (gamma : R).

Definition nearest_key k := [forall j, D k <= D j].

(* The number of nearest keys, m in the words above. *)
Definition ties := #|[pred k | nearest_key k]|.

Definition gap gamma :=
  forall k j, nearest_key k -> ~~ nearest_key j -> D k + gamma <= D j.

Lemma nearest_keyP k : reflect (forall j, D k <= D j) (nearest_key k).
Proof. exact: forallP. Qed.

Lemma nearest_same k j : nearest_key k -> nearest_key j -> D k = D j.
Proof.
move=> /nearest_keyP near_k /nearest_keyP near_j.
by apply/eqP; rewrite eq_le near_k near_j.
Qed.

(* The other keys: N - m. *)
Lemma card_others : #|[pred k | ~~ nearest_key k]| = (#|K| - ties)%N.
Proof. by rewrite -(cardC [pred k | nearest_key k]) addKn; apply: eq_card. Qed.

(* Now let there be a key. *)
Variable k0 : K.

Lemma nearest_exists : exists k, nearest_key k.
Proof.
exists [arg min_(k < k0) D k]%O; apply/nearest_keyP => j.
by case: Order.TotalTheory.arg_minP => // k _; apply.
Qed.

Theorem ties_gt0 : (0 < ties)%N.
Proof. by have [k near] := nearest_exists; apply/card_gt0P; exists k. Qed.

Theorem gap_exists : exists2 gamma, 0 < gamma & gap gamma.
Proof.
have [k near_k] := nearest_exists.
case: (pickP [pred j | ~~ nearest_key j]) => [j0 far_j0|none]; last first.
  by exists 1 => [|k' j _ /negP[]]; rewrite ?ltr01//; have /negPn := none j.
case: (Order.TotalTheory.arg_minP D far_j0) => j far_j least.
exists (D j - D k) => [|k' j' /nearest_keyP near_k' far_j'].
  rewrite subr_gt0 ltNge; apply: contraNN far_j => j_le.
  by apply/nearest_keyP => j'; apply: le_trans j_le _; apply/nearest_keyP: j'.
by apply: le_trans (least j' far_j'); rewrite addrCA ger_addl subr_le0.
Qed.

End Keys.

Section Bounds.
Variables (R : realFieldType) (E : exponential R) (K : finType) (D : K -> R).
Variables (alpha gamma : R).
Hypotheses (alpha_ge0 : 0 <= alpha) (is_gap : gap D gamma).
Implicit Types (k j : K).

Local Notation m := (ties D)%:R.
Local Notation r := (#|K| - ties D)%:R.
Local Notation e := (E (- (alpha * gamma))).
Local Notation P := (softmax E (fun j => - alpha * D j)).

(* Weights after division by that of a nearest key, and their sum off the m.  *)
Let weight k j := E (- alpha * (D j - D k)).
Let rest k := \sum_(j | ~~ nearest_key D j) weight k j.

Lemma r_ge0 : 0 <= r :> R.
Proof. exact: ler0n. Qed.

Lemma m_gt0 k : 0 < m :> R.
Proof. by rewrite ltr0n ties_gt0. Qed.

Lemma rest_ge0 k : 0 <= rest k.
Proof. by apply: sumr_ge0 => j _; rewrite ltW ?expo_gt0. Qed.

Lemma sum_gt0 k : 0 < m + rest k.
Proof. by rewrite ltr_paddr ?rest_ge0 ?(m_gt0 k). Qed.

Lemma weight_other k j : nearest_key D k -> ~~ nearest_key D j -> weight k j <= e.
Proof.
move=> near far; rewrite /weight mulNr expo_le// ler_opp2 ler_wpmul2l//.
by rewrite ler_subr_addl is_gap.
Qed.

Lemma rest_le k : nearest_key D k -> rest k <= r * e.
Proof.
move=> near; rewrite -card_others mulr_natl -sumr_const; apply: ler_sum => j far.
exact: weight_other.
Qed.

(* All keys have their weight, divided by m and the rest. *)
Lemma probability_weight k j : nearest_key D k -> P j = weight k j / (m + rest k).
Proof.
move=> near; rewrite -(softmax_shift E _ (alpha * D k)) /softmax /normalised.
have weightE i : E (- alpha * D i + alpha * D k) = weight k i.
  by rewrite /weight mulrBr mulNr [- alpha * _]mulNr opprK.
under eq_bigr do rewrite weightE.
rewrite weightE (bigID (nearest_key D)) /=; congr (_ / (_ + _)).
rewrite -sumr_const; apply: eq_bigr => i near_i.
by rewrite /weight (nearest_same near_i near) subrr mulr0 expo0.
Qed.

Lemma probability_nearest k : nearest_key D k -> P k = (m + rest k)^-1.
Proof.
by move=> near; rewrite (probability_weight k near) /weight subrr mulr0 expo0 div1r.
Qed.

Theorem nearest_most k : nearest_key D k -> P k <= m^-1.
Proof.
move=> near; rewrite probability_nearest// lef_pinv ?posrE ?sum_gt0 ?(m_gt0 k)//.
by rewrite ler_addl rest_ge0.
Qed.

Theorem nearest_least k : nearest_key D k -> (m + r * e)^-1 <= P k.
Proof.
move=> near; rewrite probability_nearest// lef_pinv ?posrE ?sum_gt0//.
  by rewrite ler_add2l rest_le.
by rewrite ltr_paddr ?(m_gt0 k) ?mulr_ge0 ?r_ge0 ?ltW ?expo_gt0.
Qed.

Theorem two_levels k :
  nearest_key D k -> (forall j, ~~ nearest_key D j -> D j = D k + gamma) ->
  P k = (m + r * e)^-1.
Proof.
move=> near level; rewrite probability_nearest//; congr (_ + _)^-1.
rewrite -card_others mulr_natl -sumr_const; apply: eq_bigr => j far.
by rewrite /weight level// addrAC subrr add0r mulNr.
Qed.

Theorem other_most j : ~~ nearest_key D j -> P j <= e / m.
Proof.
move=> far; have [k near] := nearest_exists D j; rewrite (probability_weight j near).
have weight_ge0 : 0 <= weight k j by rewrite ltW ?expo_gt0.
apply: ler_pmul; rewrite ?weight_other// ?invr_ge0 ?(ltW (sum_gt0 k))//.
by rewrite lef_pinv ?posrE ?sum_gt0 ?(m_gt0 k)// ler_addl rest_ge0.
Qed.

(* The probability that all nearest keys together miss. *)
Definition missed := \sum_(j | ~~ nearest_key D j) P j.

Theorem missed_most : missed <= r * e / m.
Proof.
rewrite -mulrA -card_others mulr_natl -sumr_const; apply: ler_sum => j far.
exact: other_most.
Qed.

Lemma missed_ge0 : 0 <= missed.
Proof. by apply: sumr_ge0 => j _; rewrite ltW ?softmax_gt0. Qed.

(* The nearest keys share the remaining probability evenly. *)
Lemma nearest_share k : nearest_key D k -> P k = (1 - missed) / m.
Proof.
move=> near; apply: (canRL (mulfK (lt0r_neq0 (m_gt0 k)))).
rewrite -[in RHS](softmax_sum1 E (fun j => - alpha * D j) k).
rewrite (bigID (nearest_key D)) /= addrK.
rewrite mulr_natr -sumr_const; apply: eq_bigr => i near_i.
by rewrite !(probability_weight _ near) /weight (nearest_same near_i near).
Qed.

Lemma limit_error k : `|P k - (nearest_key D k)%:R / m| <= missed.
Proof.
have [near|far] := boolP (nearest_key D k).
  rewrite nearest_share// -mulrBl addrAC subrr sub0r mulNr normrN ger0_norm.
    by rewrite ler_pimulr ?missed_ge0// invf_le1 ?(m_gt0 k)// ler1n (ties_gt0 D k).
  by rewrite mulr_ge0 ?missed_ge0// invr_ge0 ler0n.
rewrite mul0r subr0 ger0_norm ?(ltW (softmax_gt0 _ _ _))//.
rewrite /missed (bigD1 k)//= ler_addl.
by apply: sumr_ge0 => j _; rewrite ltW ?softmax_gt0.
Qed.

End Bounds.

Section Limit.
Variables (R : realFieldType) (E : exponential R).

(* The strength that is needed depends on n, gamma and eps only. *)
Theorem softmax_uniform (n : nat) (gamma eps : R) : 0 < gamma -> 0 < eps ->
  exists alpha0, forall alpha, alpha0 <= alpha ->
  forall (K : finType) (D : K -> R), (#|K| <= n)%N -> gap D gamma ->
    missed E D alpha <= eps
    /\ forall k, `|softmax E (fun j => - alpha * D j) k
                   - (nearest_key D k)%:R / (ties D)%:R| <= eps.
Proof.
move=> gamma_gt0 eps_gt0; have n1_gt0 : 0 < n.+1%:R :> R by rewrite ltr0Sn.
have [a small] := expo_vanishes E (divr_gt0 eps_gt0 n1_gt0).
exists (Num.max (a / gamma) 0) => alpha; rewrite le_maxl => /andP[a_le alpha_ge0].
move=> K D few is_gap; suff missed_le : missed E D alpha <= eps.
  by split=> // k; apply: le_trans (limit_error E D alpha k) missed_le.
have [k0 _|none] := pickP (mem K); last first.
  by rewrite /missed big_pred0 ?ltW// => j; have := none j.
apply: le_trans (missed_most E alpha_ge0 is_gap) _.
set e := E _; have e_gt0 : 0 < e by apply: expo_gt0.
have e_le : n.+1%:R * e <= eps.
  by rewrite mulrC -ler_pdivl_mulr// small// -ler_pdivr_mulr.
have r_le : (#|K| - ties D)%:R <= n.+1%:R :> R.
  by rewrite ler_nat (leq_trans (leq_subr _ _)) ?leqW.
apply: le_trans e_le; apply: (@le_trans _ _ ((#|K| - ties D)%:R * e)).
  rewrite ler_pimulr ?mulr_ge0 ?ler0n ?(ltW e_gt0)//.
  by rewrite invf_le1 ?ltr0n ?ler1n ties_gt0.
by rewrite ler_wpmul2r ?(ltW e_gt0).
Qed.

Theorem softmax_limit (K : finType) (D : K -> R) (eps : R) : 0 < eps ->
  exists alpha0, forall alpha, alpha0 <= alpha -> forall k,
    `|softmax E (fun j => - alpha * D j) k - (nearest_key D k)%:R / (ties D)%:R| <= eps.
Proof.
move=> eps_gt0; have [k0 _|none] := pickP (mem K); last first.
  by exists 0 => alpha _ k; have := none k.
have [gamma gamma_gt0 is_gap] := gap_exists D k0.
have [alpha0 close] := softmax_uniform #|K| gamma_gt0 eps_gt0.
by exists alpha0 => alpha strong k; have [_] := close _ strong _ _ (leqnn _) is_gap.
Qed.

End Limit.

(* Squared distances to a point of the grid. *)
Section Grid.
Variables (R : realFieldType) (d : nat) (m : 'I_d -> nat) (t : point d).

Local Notation D := (fun k : token m => (distance2 (position k) t)%:R : R).

Theorem grid_nearest k : nearest_key D k = (k == nearest m t).
Proof.
apply/nearest_keyP/eqP => [near|-> j]; last first.
  by rewrite ler_nat (leq_trans _ (nearest_closer j t)) ?leq_addr.
apply/eqP; apply: contraTT (near (nearest m t)) => other.
rewrite -ltNge ltr_nat (leq_trans _ (nearest_closer k t))//.
by rewrite -addn1 leq_add2l distance2_gt0.
Qed.

Theorem grid_ties : ties D = 1%N.
Proof.
by rewrite /ties -(card1 (nearest m t)); apply: eq_card => k; apply: grid_nearest.
Qed.

Theorem grid_gap : gap D 1.
Proof.
move=> k j; rewrite !grid_nearest => /eqP-> other; rewrite -(natrD _ _ 1) ler_nat.
by rewrite (leq_trans _ (nearest_closer j t))// leq_add2l distance2_gt0.
Qed.

End Grid.
