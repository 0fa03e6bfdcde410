(******************************************************************************)
(* The quadratic relative encoding and the vectors of the heads.              *)
(*                                                                            *)
(* In words. A displacement delta is encoded as r = (|delta|^2, delta); the   *)
(* head that is to look Delta away has the vector v = - alpha (1, - 2 Delta). *)
(* Their inner product is a squared distance, up to a constant of the head:   *)
(*   v . r = - alpha (|delta - Delta|^2 - |Delta|^2)       quadratic_identity *)
(* So it is largest at delta = Delta, and nowhere else    quadratic_maximum   *)
(* It is also an inner product of two absolute vectors, of the target t and   *)
(* of the key k, up to a constant of the query:                               *)
(*   - alpha |k - t|^2 = (2 alpha t, - alpha) . (k, |k|^2) - alpha |t|^2      *)
(*                                                     absolute_factorisation *)
(* Both identities hold in commutative rings: no order, no division.          *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import canvas.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* The inner product of two rows. *)
Definition dot (R : ringType) n (x y : 'rV[R]_n) : R := (x *m y^T) 0 0.

Section Encoding.
Variables (R : comRingType) (d : nat).
Implicit Types (delta Delta k t : 'rV[R]_d).

Definition norm2 delta : R := \sum_a delta 0 a ^+ 2.

Definition encoding delta : 'rV[R]_(1 + d) := row_mx (norm2 delta)%:M delta.

Definition head_vector (alpha : R) Delta : 'rV[R]_(1 + d) :=
  - alpha *: row_mx 1%:M (- 2%:R *: Delta).

Lemma dotC n (x y : 'rV[R]_n) : dot x y = dot y x.
Proof. by rewrite /dot !mxE; apply: eq_bigr => a _; rewrite !mxE mulrC. Qed.

Lemma norm2B delta Delta :
  norm2 (delta - Delta)
  = norm2 delta - dot delta Delta *+ 2 + norm2 Delta.
Proof.
rewrite /dot !mxE -sumrMnl -sumrB -big_split /=; apply: eq_bigr => a _.
by rewrite !mxE sqrrB.
Qed.

Theorem quadratic_identity alpha delta Delta :
  dot (head_vector alpha Delta) (encoding delta)
  = - alpha * (norm2 (delta - Delta) - norm2 Delta).
Proof.
rewrite /dot -scalemxAl tr_row_mx mul_row_col tr_scalar_mx mul1mx -scalemxAl.
rewrite norm2B addrK.
rewrite mxE [in LHS]mxE [in X in _ * (X + _)]mxE eqxx mulr1n; congr (_ * (_ + _)).
by rewrite mxE mulNr mulr_natl -/(dot _ _) dotC.
Qed.

Theorem absolute_factorisation alpha k t :
  - alpha * norm2 (k - t)
  = dot (row_mx ((2%:R * alpha) *: t) (- alpha)%:M) (row_mx k (norm2 k)%:M)
    - alpha * norm2 t.
Proof.
rewrite /dot tr_row_mx mul_row_col tr_scalar_mx norm2B -scalemxAl mul_scalar_mx.
rewrite [in RHS]mxE [in X in X + _ - _]mxE [in X in _ + X - _]mxE.
rewrite [in X in _ + _ * X - _]mxE eqxx mulr1n -/(dot _ _) dotC.
rewrite -[2%:R * alpha * _]mulrA mulr_natl.
by rewrite mulrDr mulrBr !mulNr opprK mulrnAr [- _ + _]addrC.
Qed.

End Encoding.

(* The score is largest at the center of the head, and nowhere else. *)
Theorem quadratic_maximum (R : realDomainType) d (alpha : R) (delta Delta : 'rV[R]_d) :
  0 < alpha ->
  dot (head_vector alpha Delta) (encoding delta)
    <= dot (head_vector alpha Delta) (encoding Delta)
    ?= iff (delta == Delta).
Proof.
move=> alpha_gt0; rewrite !quadratic_identity subrr; split; last first.
  have alpha_neq0 : - alpha != 0 by rewrite oppr_eq0 gt_eqF.
  have zero : norm2 (0 : 'rV[R]_d) = 0 by apply: big1 => a _; rewrite mxE expr0n.
  rewrite zero (inj_eq (mulfI alpha_neq0)) ![_ - norm2 Delta]addrC (inj_eq (addrI _)).
  rewrite -[RHS]subr_eq0; apply/eqP/eqP => [|->]; last exact: zero.
  move/eqP; rewrite psumr_eq0 => [/allP no_step|a _]; last exact: sqr_ge0.
  apply/rowP => a; apply/eqP; rewrite [X in _ == X]mxE -sqrf_eq0.
  exact: no_step (mem_index_enum a).
rewrite ler_nmul2l ?oppr_lt0// ler_add2r.
by apply: ler_sum => a _; rewrite mxE expr0n sqr_ge0.
Qed.

(* Points of the grid, in the field. *)
Definition real (R : ringType) d (p : point d) : 'rV[R]_d := map_mx intr p.

Lemma real_add (R : ringType) d (p q : point d) : real R (p + q) = real R p + real R q.
Proof. exact: map_mxD. Qed.

Lemma real_sub (R : ringType) d (p q : point d) : real R (p - q) = real R p - real R q.
Proof. exact: map_mxB. Qed.

Lemma norm2_real (R : comRingType) d (p q : point d) :
  norm2 (real R p - real R q) = (distance2 p q)%:R.
Proof.
rewrite natr_sum; apply: eq_bigr => a _.
rewrite -real_sub !mxE -rmorphX -abszX -[in LHS](gez0_abs (sqr_ge0 _)).
by [].
Qed.
