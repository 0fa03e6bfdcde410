(******************************************************************************)
(* The leak: how much attention a head gives to tokens off its target.        *)
(*                                                                            *)
(* In words. Let e = exp(- alpha), between 0 and 1, and c the token nearest   *)
(* to the target t; t may be any point of the grid, on the canvas or off it.  *)
(* The leak is the probability off c. On every canvas it is at most           *)
(*   - (N - 1) e, with N the number of tokens                     leak_tokens *)
(*   - 1 - Theta^(-d), with d axes and Theta any upper bound of the sums      *)
(*     1 + 2 (e + e^4 + e^9 + ... + e^(n^2)), such as Jacobi's theta_3        *)
(*                                                                 leak_theta *)
(*   - 2 d e / (1 + e), which depends on neither size nor target              *)
(*                                                              leak_any_size *)
(*     and so in two axes 4 e / (1 - e)                         leak_two_axes *)
(* So a leak is within any limit once 2 d e is                leak_saturation *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding layers smoothing.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Leak.
Variables (R : realFieldType) (e : R).
Hypotheses (e_gt0 : 0 < e) (e_lt1 : e < 1).

Let e_ge0 : 0 <= e := ltW e_gt0.
Let e_le1 : e <= 1 := ltW e_lt1.

(* One plus the weights that lie 1, ..., n pixels away, on both sides.        *)
Definition theta n : R := 1 + 2%:R * \sum_(j < n) e ^+ (j.+1 ^ 2).

Definition leak_bound d : R := (2 * d)%:R * e / (1 + e).

(* Bernoulli's inequality. *)
Lemma bernoulli (x : R) d : 0 <= x -> x <= 1 -> 1 - d%:R * x <= (1 - x) ^+ d.
Proof.
move=> x_ge0 x_le1; elim: d => [|d IHd]; first by rewrite mul0r subr0 expr0.
have rest_ge0 : 0 <= 1 - x by rewrite subr_ge0.
rewrite exprSr; apply: le_trans (ler_wpmul2r rest_ge0 IHd).
rewrite mulrBr mulr1 -addn1 natrD mulrDl mul1r opprD addrA ler_add2l ler_opp2.
by rewrite mulrBl mul1r ler_subl_addr ler_addl !mulr_ge0 ?ler0n.
Qed.

Lemma theta_gt0 n : 0 < theta n.
Proof.
apply: lt_le_trans ltr01 _.
by rewrite ler_addl mulr_ge0 ?ler0n// sumr_ge0// => j _; rewrite exprn_ge0.
Qed.

(* One side of an axis holds fewer of the weights than n pixels do.           *)
Lemma one_side l n :
  (l <= n)%N -> \sum_(0 <= j < l) e ^+ (j.+1 ^ 2) <= \sum_(j < n) e ^+ (j.+1 ^ 2).
Proof.
move=> l_le; rewrite -(big_mkord xpredT (fun j => e ^+ (j.+1 ^ 2))).
rewrite (big_cat_nat _ _ _ _ l_le)//= ler_addl sumr_ge0// => j _.
by rewrite exprn_ge0.
Qed.

(* All weights along an axis around one of its tokens.                        *)
Lemma axis_weights n (c : 'I_n.+1) :
  \sum_(i < n.+1) e ^+ (`|((i : nat)%:Z - (c : nat)%:Z)%R| ^ 2) <= theta n.
Proof.
have c_le : (c <= n)%N by rewrite -ltnS.
pose w i := e ^+ (`|(i%:Z - (c : nat)%:Z)%R| ^ 2).
rewrite -(big_mkord xpredT w) (big_cat_nat _ _ _ (leq0n c)) ?leqW//=.
rewrite (big_ltn (ltn_ord c)) [w c]/w subrr /theta mulr_natl mulr2n addrCA.
rewrite ler_add2l; apply: ler_add.
  rewrite big_nat_rev /= add0n; apply: le_trans (one_side c_le).
  rewrite le_eqVlt; apply/orP; left; apply/eqP; apply: eq_big_nat => j /andP[_ j_lt].
  by rewrite /w distnEr ?leq_subr// subKn.
rewrite -[X in \sum_(X <= _ < _) _]add0n big_addn.
apply: le_trans (one_side (leq_subr c n)).
rewrite subSS le_eqVlt; apply/orP; left; apply/eqP; apply: eq_bigr => j _.
by rewrite /w addnS -addSn PoszD addrK.
Qed.

(* A geometric series bounds them.                                            *)
Lemma theta_geometric n : theta n <= (1 + e) / (1 - e).
Proof.
have gap_gt0 : 0 < 1 - e by rewrite subr_gt0.
have geometric : (\sum_(j < n) e ^+ (j.+1 ^ 2)) * (1 - e) <= e.
  apply: (@le_trans _ _ ((\sum_(j < n) e ^+ j.+1) * (1 - e))).
    apply: ler_wpmul2r (ltW gap_gt0) _ _ _; apply: ler_sum => j _.
    by rewrite ler_wiexpn2l// -[X in (X <= _)%N]expn1 leq_pexp2l.
  under eq_bigr do rewrite exprS.
  rewrite -mulr_sumr -mulrA [_ * (1 - e)]mulrC -opprB mulNr -subrX1 opprB.
  by rewrite ler_pimulr// ler_subl_addr ler_addl exprn_ge0.
rewrite ler_pdivl_mulr// mulrDl mul1r -mulrA.
apply: (@le_trans _ _ (1 - e + 2%:R * e)).
  by rewrite ler_add2l ler_wpmul2l ?ler0n.
by rewrite mulr_natl mulr2n addrA addrNK.
Qed.

Variables (d : nat) (m : 'I_d -> nat).
Implicit Types (t : point d) (k c : token m).

(* What a head gives to all tokens but the one nearest to its target.         *)
Definition leak t : R := 1 - powers e t (nearest m t).

Lemma powers_ge0 t k : 0 <= powers e t k.
Proof. by apply: normalised_ge0 => j; rewrite exprn_ge0 ?ltW. Qed.

Lemma powers_sum1 t : \sum_k powers (m := m) e t k = 1.
Proof.
rewrite normalised_sum1// gt_eqF// (weights_gt0 (nearest m t))// => k.
exact: exprn_gt0.
Qed.

Lemma off_target t : \sum_(k | k != nearest m t) powers e t k = leak t.
Proof.
by rewrite /leak -(powers_sum1 t) [X in X - _](bigD1 (nearest m t))//= addrC addKr.
Qed.

Lemma leak_ge0 t : 0 <= leak t.
Proof. by rewrite -off_target sumr_ge0// => k _; apply: powers_ge0. Qed.

Definition around c : R := \sum_(k : token m) e ^+ distance2 (position k) (position c).

Lemma around_ge1 c : 1 <= around c.
Proof.
rewrite /around (bigD1 c)//= distance2_self.
by rewrite expr0 ler_addl sumr_ge0// => k _; rewrite exprn_ge0.
Qed.

(* A target off the canvas is no worse than the token nearest to it.          *)
Lemma leak_around t : leak t <= 1 - (around (nearest m t))^-1.
Proof.
set c := nearest m t; rewrite ler_add2l ler_opp2.
have w_gt0 k : 0 < e ^+ distance2 (position k) t by rewrite exprn_gt0.
rewrite ler_pdivl_mulr ?(weights_gt0 c)// mulrC.
rewrite ler_pdivr_mulr ?(lt_le_trans ltr01 (around_ge1 c))// mulr_sumr.
apply: ler_sum => k _; rewrite -exprD ler_wiexpn2l//; exact: nearest_closer.
Qed.

Lemma around_gt0 c : 0 < around c.
Proof. exact: lt_le_trans ltr01 (around_ge1 c). Qed.

Theorem leak_tokens t : leak t <= (tokens m).-1%:R * e.
Proof.
set c := nearest m t; apply: le_trans (leak_around t) _; rewrite -/c.
apply: (@le_trans _ _ (around c - 1)).
  rewrite -[X in X - _](divff (lt0r_neq0 (around_gt0 c))) -[X in _ - X]mul1r -mulrBl.
  by rewrite ler_pdivr_mulr ?around_gt0// ler_pemulr ?subr_ge0 ?around_ge1.
rewrite /around (bigD1 c)//= distance2_self.
rewrite expr0 addrAC subrr add0r /tokens (cardD1 c) /= mulr_natl -sumr_const.
rewrite [leRHS](eq_bigl (fun k => k != c)) => [|k]; last by rewrite !inE andbT.
apply: ler_sum => k /distance2_gt0 far.
by rewrite -[leRHS]expr1 ler_wiexpn2l.
Qed.

Lemma around_theta c : around c <= \prod_a theta (m a).
Proof.
pose w a (i : 'I_(m a).+1) := e ^+ (`|((i : nat)%:Z - (c a : nat)%:Z)%R| ^ 2).
have -> : around c = \prod_a \sum_i w a i.
  rewrite -sum_tokens; apply: eq_bigr => k _; rewrite /w prodrXr.
  by congr (_ ^+ _); apply: eq_bigr => a _; rewrite !mxE.
apply: ler_prod => a _; rewrite axis_weights andbT.
by apply: sumr_ge0 => i _; rewrite exprn_ge0.
Qed.

Theorem leak_theta (Theta : R) t :
  (forall n, theta n <= Theta) -> leak t <= 1 - Theta ^- d.
Proof.
move=> theta_le; apply: le_trans (leak_around t) _.
rewrite ler_add2l ler_opp2 lef_pinv ?posrE ?around_gt0//; last first.
  by rewrite exprn_gt0// (lt_le_trans (theta_gt0 0)).
apply: le_trans (around_theta _) _.
rewrite -[in leRHS](card_ord d) -prodr_const.
by apply: ler_prod => a _; rewrite theta_le ltW ?theta_gt0.
Qed.

Theorem leak_any_size t : leak t <= leak_bound d.
Proof.
have gap_gt0 : 0 < 1 - e by rewrite subr_gt0.
have sum_gt0 : 0 < 1 + e by rewrite addr_gt0 ?ltr01.
apply: le_trans (leak_theta t theta_geometric) _.
rewrite /leak_bound ler_subl_addr -ler_subl_addl -exprVn invf_div.
have -> : (1 - e) / (1 + e) = 1 - 2%:R * e / (1 + e).
  rewrite -[X in X - _](divff (lt0r_neq0 sum_gt0)) -mulrBl; congr (_ / _).
  by rewrite mulr_natl mulr2n opprD addrA addrK.
have x_ge0 : 0 <= 2%:R * e / (1 + e) by rewrite divr_ge0 ?mulr_ge0 ?ler0n// ltW.
have x_le1 : 2%:R * e / (1 + e) <= 1.
  by rewrite ler_pdivr_mulr// mul1r mulr_natl mulr2n ler_add2r.
rewrite mulnC natrM -!mulrA [2%:R * _]mulrA; exact: bernoulli.
Qed.

(* How strong a head has to be for a given leak. *)
Corollary leak_saturation (largest : R) t :
  (2 * d)%:R * e <= largest -> leak t <= largest.
Proof.
move=> strong; apply: le_trans (leak_any_size t) _; apply: le_trans strong.
rewrite /leak_bound ler_pdivr_mulr ?addr_gt0 ?ltr01//.
by rewrite ler_pemulr ?mulr_ge0 ?ler0n ?ler_addl.
Qed.

End Leak.

Corollary leak_two_axes (R : realFieldType) (e : R) (m : 'I_2 -> nat) (t : point 2) :
  0 < e -> e < 1 -> leak e m t <= 4%:R * e / (1 - e).
Proof.
move=> e_gt0 e_lt1; apply: le_trans (leak_any_size e_gt0 e_lt1 m t) _.
have inv_le : (1 + e)^-1 <= (1 - e)^-1.
  rewrite lef_pinv ?posrE ?subr_gt0 ?addr_gt0 ?ltr01// ler_add2l.
  by rewrite (le_trans _ (ltW e_gt0))// oppr_le0 ltW.
by apply: ler_wpmul2l inv_le; rewrite mulr_ge0 ?ler0n ?ltW.
Qed.
