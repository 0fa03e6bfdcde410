(******************************************************************************)
(* The exponential of Coq's standard library, over its real numbers.          *)
(*                                                                            *)
(* In words. The function exp of the standard library is an exponential as    *)
(* softmax.v asks for, and takes every positive value                         *)
(*                                                  reals_exp, reals_exp_onto *)
(* So all theorems hold for it, for example the main theorem                  *)
(*                                      attention_expresses_convolution_reals *)
(* and that rho + 1 heads suffice                        heads_suffice_reals. *)
(******************************************************************************)

From Coq Require Import Reals.
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import Rstruct.
From Expressivity Require Import softmax canvas encoding layers convergence.
From Expressivity Require Import minimal_heads.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Lemma exp_positive (x : R) : 0 < exp x.
Proof. exact/RltP/exp_pos. Qed.

Lemma exp_below1 (x : R) : x < 0 -> exp x < 1.
Proof. by move=> /RltP/exp_increasing; rewrite exp_0 => /RltP. Qed.

Lemma exp_vanishes (eps : R) : 0 < eps ->
  exists a, forall x : R, a <= x -> exp (- x) <= eps.
Proof.
move=> eps_gt0; exists eps^-1 => x x_ge.
have x_gt0 : 0 < x by rewrite (lt_le_trans _ x_ge)// invr_gt0.
have x_le : x <= exp x.
  have x_neq0 : x <> 0 by apply/eqP; rewrite gt_eqF.
  have /RltP/ltW := exp_ineq1 x x_neq0.
  by apply: le_trans; rewrite ler_addr ler01.
rewrite exp_Ropp RinvE ?gt_eqF ?exp_positive//.
rewrite -[leRHS]invrK lef_pinv ?posrE ?invr_gt0 ?exp_positive//.
exact: le_trans x_ge x_le.
Qed.

Definition reals_exp : exponential R_realFieldType :=
  @Exponential R_realFieldType exp exp_plus exp_positive exp_below1 exp_vanishes.

Lemma reals_exp_onto (y : R) : 0 < y -> exists x, reals_exp x = y.
Proof. by move=> /RltP y_gt0; exists (ln y); apply: exp_ln. Qed.

Corollary attention_expresses_convolution_reals
    (d cin cout r : nat) (T : finType) (Delta : T -> point d)
    (W : T -> 'M[R]_(cin, cout)) (bias : 'rV[R]_cout) (B eps : R) :
    (forall tap, \rank (W tap) <= r)%N -> 0 <= B -> 0 < eps ->
  exists heads : T -> head R_ringType cin (1 + d) (1 + d) r cout,
  forall m (X : token m -> 'rV[R]_cin), bounded B X -> forall q o,
  `|(self_attention reals_exp heads bias (fun delta => encoding (real _ delta)) X q
     - convolution Delta W bias (nearest_extension X) (position q)) 0 o| <= eps.
Proof. exact: attention_expresses_convolution. Qed.

Corollary heads_suffice_reals (d cin cout : nat) (T : finType)
    (Delta : T -> point d) (W : T -> 'M[R]_(cin, cout)) :
  exists (s : 'I_(rho W).+1 -> T -> R) (M : 'I_(rho W).+1 -> 'M[R]_(cin, cout)),
    express reals_exp Delta s M W.
Proof. exact/heads_suffice/reals_exp_onto. Qed.
