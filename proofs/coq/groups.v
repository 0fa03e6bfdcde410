(******************************************************************************)
(* Grouped convolutions.                                                      *)
(*                                                                            *)
(* In words. With g groups, the channels are divided into g runs of equal     *)
(* length, and an output of one run reads the inputs of the same run only. So *)
(* torch stores, for each output channel, weights for the c + 1 inputs of its *)
(* group alone. The matrix of a tap has zeros everywhere else        grouped  *)
(* A row of inputs times that matrix is the sum over the group   grouped_row  *)
(* and the absolute weights that lead to an output, which the error bounds    *)
(* ask for, are those that torch stores                  grouped_weight_sum   *)
(* So the theorems about convolutions are about grouped ones, too.            *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding layers.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* g groups of c + 1 inputs and of p + 1 outputs. *)
Section Groups.
Variables (g c p : nat).
Local Notation cin := (g * c.+1)%N.
Local Notation cout := (g * p.+1)%N.

Definition group_in (i : 'I_cin) : nat := (i %/ c.+1)%N.
Definition group_out (o : 'I_cout) : nat := (o %/ p.+1)%N.

(* The place of an input in its group. *)
Definition place (i : 'I_cin) : 'I_c.+1 := inord (i %% c.+1).

(* The input at a place of the group of an output. *)
Lemma member_lt (o : 'I_cout) (k : 'I_c.+1) : (group_out o * c.+1 + k < cin)%N.
Proof.
have group_lt : (group_out o < g)%N by rewrite ltn_divLR// ltn_ord.
rewrite (leq_trans (_ : _ < (group_out o).+1 * c.+1)%N) ?leq_mul2r//.
by rewrite mulSn addnC ltn_add2r.
Qed.

Definition member o k : 'I_cin := Ordinal (member_lt o k).

Lemma place_member o k : place (member o k) = k.
Proof. apply: val_inj => /=; rewrite inordK ?ltn_pmod//.
by rewrite /member /= modnMDl modn_small. Qed.

Lemma member_place o i : group_in i = group_out o -> member o (place i) = i.
Proof.
move=> same; apply: val_inj; rewrite /= /place inordK ?ltn_pmod// -same.
by rewrite -divn_eq.
Qed.

Lemma group_member o k : group_in (member o k) = group_out o.
Proof. by rewrite /group_in /= divnMDl// divn_small ?addn0. Qed.

(* Sums over the inputs of the group of an output. *)
Lemma sum_group (V : zmodType) o (F : 'I_cin -> V) :
  \sum_(i | group_in i == group_out o) F i = \sum_k F (member o k).
Proof.
rewrite (reindex_onto (member o) place) => [|i /eqP]; last exact: member_place.
by apply: eq_bigl => k; rewrite group_member place_member !eqxx.
Qed.

Section Weights.
Variables (R : realFieldType) (T : finType).
Implicit Types (w : 'M[R]_(c.+1, cout)).

Definition grouped w : 'M[R]_(cin, cout) :=
  \matrix_(i, o) if group_in i == group_out o then w (place i) o else 0.

Theorem grouped_row (x : 'rV[R]_cin) w o :
  (x *m grouped w) 0 o = \sum_k x 0 (member o k) * w k o.
Proof.
rewrite mxE (bigID (fun i => group_in i == group_out o)) /= addrC big1 ?add0r.
  rewrite sum_group; apply: eq_bigr => k _.
  by rewrite mxE group_member eqxx place_member.
by move=> i /negPf other; rewrite mxE other mulr0.
Qed.

Theorem grouped_weight_sum (w : T -> 'M[R]_(c.+1, cout)) o :
  weight_sum (fun tap => grouped (w tap)) o = \sum_tap \sum_k `|w tap k o|.
Proof.
apply: eq_bigr => tap _.
rewrite (bigID (fun i => group_in i == group_out o)) /= addrC big1 ?add0r.
  rewrite sum_group; apply: eq_bigr => k _.
  by rewrite mxE group_member eqxx place_member.
by move=> i /negPf other; rewrite mxE other normr0.
Qed.

End Weights.
End Groups.
