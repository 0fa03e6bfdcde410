(* A constant: leak_any_size with d e / (1 + e), half of the bound. It is     *)
(* false for every e > 0: in the middle of three tokens of one axis a head    *)
(* leaks 2 e / (1 + 2 e), which is more than e / (1 + e).                     *)
(* must fail: Cannot apply lemma leak_any_size *)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding layers smoothing leak.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Control.
Variables (R : realFieldType) (e : R).
Hypotheses (e_gt0 : 0 < e) (e_lt1 : e < 1).

Definition at_most (c : nat) := forall d (m : 'I_d -> nat) (t : point d),
  leak e m t <= (c * d)%:R * e / (1 + e).

Theorem whole_bound : at_most 2.
Proof. by move=> d m t; apply: leak_any_size. Qed.

(* The three tokens 0, 1, 2, and the one in the middle. *)
Let three : 'I_1 -> nat := fun=> 2%N.
Let middle : point 1 := const_mx 1.

Lemma leak_middle : leak e three middle = 1 - (1 + e *+ 2)^-1.
Proof.
have inside : on_canvas three middle by apply/forallP => a; rewrite mxE.
rewrite /leak /powers /normalised position_nearest//.
rewrite distance2_self expr0 mul1r.
pose w (a : 'I_1) (i : 'I_(three a).+1) : R := e ^+ (`|(i : nat)%:Z - 1| ^ 2).
rewrite (eq_bigr (fun k : token three => \prod_a w a (k a))) => [|k _].
  rewrite sum_tokens big_ord1 !big_ord_recl big_ord0 /w /= expr0 !expr1 addr0.
  by rewrite addrCA mulr2n.
by rewrite big_ord1 /distance2 big_ord1 !mxE.
Qed.

Theorem refuted : ~ at_most 1.
Proof.
move=> /(_ 1%N three middle); apply/negP; rewrite leak_middle mul1r -ltNge.
have half_gt0 : 0 < 1 + e by rewrite addr_gt0 ?ltr01.
have -> : e / (1 + e) = 1 - (1 + e)^-1.
  rewrite -[X in X - _](divff (lt0r_neq0 half_gt0)) -[X in _ - X]mul1r -mulrBl.
  by rewrite addrAC subrr add0r.
rewrite ltr_add2l ltr_opp2 ltf_pinv ?posrE ?ltr_add2l ?mulr2n ?ltr_addl//.
by rewrite addrA addr_gt0.
Qed.

Theorem half_bound : at_most 1.
Proof. by move=> d m t; apply: leak_any_size. Qed.

End Control.
