(******************************************************************************)
(* The exponential of MathComp Analysis.                                      *)
(*                                                                            *)
(* In words. The power series exp(x) over any complete ordered field is an    *)
(* exponential as softmax.v asks for, and takes every positive value          *)
(*                                            analysis_exp, analysis_exp_onto *)
(* So all theorems hold for it, for example the main theorem                  *)
(*                                   attention_expresses_convolution_analysis *)
(* and that rho + 1 heads suffice                     heads_suffice_analysis. *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import reals sequences exp.
From Expressivity Require Import softmax canvas encoding layers convergence.
From Expressivity Require Import minimal_heads.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Analysis.
Variable R : realType.

Lemma expR_vanishes (eps : R) : 0 < eps ->
  exists a, forall x : R, a <= x -> expR (- x) <= eps.
Proof.
move=> eps_gt0; exists eps^-1 => x x_ge.
have x_gt0 : 0 < x by rewrite (lt_le_trans _ x_ge)// invr_gt0.
have x_le : x <= expR x.
  by rewrite (le_trans _ (expR_ge1Dx (ltW x_gt0)))// ler_addr ler01.
rewrite expRN -[leRHS]invrK lef_pinv ?posrE ?invr_gt0 ?expR_gt0//.
exact: le_trans x_ge x_le.
Qed.

Lemma expR_below1 (x : R) : x < 0 -> expR x < 1.
Proof. by rewrite expR_lt1. Qed.

Definition analysis_exp : exponential R :=
  Exponential (@expRD R) (@expR_gt0 R) expR_below1 expR_vanishes.

Lemma analysis_exp_onto (y : R) : 0 < y -> exists x, analysis_exp x = y.
Proof. exact: expR_total. Qed.

Corollary attention_expresses_convolution_analysis
    (d cin cout r : nat) (T : finType) (Delta : T -> point d)
    (W : T -> 'M[R]_(cin, cout)) (bias : 'rV[R]_cout) (B eps : R) :
    (forall tap, \rank (W tap) <= r)%N -> 0 <= B -> 0 < eps ->
  exists heads : T -> head R cin (1 + d) (1 + d) r cout,
  forall m (X : token m -> 'rV[R]_cin), bounded B X -> forall q o,
  `|(self_attention analysis_exp heads bias (fun delta => encoding (real R delta)) X q
     - convolution Delta W bias (nearest_extension X) (position q)) 0 o| <= eps.
Proof. exact: attention_expresses_convolution. Qed.

Corollary heads_suffice_analysis (d cin cout : nat) (T : finType)
    (Delta : T -> point d) (W : T -> 'M[R]_(cin, cout)) :
  exists (s : 'I_(rho W).+1 -> T -> R) (M : 'I_(rho W).+1 -> 'M[R]_(cin, cout)),
    express analysis_exp Delta s M W.
Proof. exact/heads_suffice/analysis_exp_onto. Qed.

End Analysis.
