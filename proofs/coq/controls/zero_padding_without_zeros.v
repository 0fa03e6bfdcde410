(* A factor: no_zero_padding with the whole difference of the two zero-padded *)
(* outputs in place of half of it. It is false on a canvas of two tokens, for *)
(* the image that is 1 at both and one tap, of weight 1, that reads the next  *)
(* token: the outputs are 1 and 0. A head with W_val = 0 and a bias of 1 / 2  *)
(* gives 1 / 2 at both, and so is wrong by no more than half the difference.  *)
(* must fail: Cannot apply lemma no_zero_padding *)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding layers zero_padding.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Control.
Variables (R : realFieldType) (E : exponential R).

Definition wrong_by (share : R) :=
  forall d (m : 'I_d -> nat) cin Dk Dp Dh cout (H T : finType)
    (heads : H -> head R cin Dk Dp Dh cout) (bias b : 'rV[R]_cout)
    (encode : point d -> 'rV[R]_Dp) (Delta : T -> point d)
    (W : T -> 'M[R]_(cin, cout)) (x : 'rV[R]_cin) (q1 q2 : token m) o,
  let layer := self_attention E heads bias encode (fun _ : token m => x) in
  let image := zero_extension (fun _ : token m => x) in
  let padded q := convolution Delta W b image (position q) in
  `|padded q1 0 o - padded q2 0 o| / share
  <= Num.max `|layer q1 0 o - padded q1 0 o| `|layer q2 0 o - padded q2 0 o|.

Theorem half_of_the_difference : wrong_by 2%:R.
Proof. by move=> *; rewrite self_attention_scored; apply: no_zero_padding. Qed.

(* The two tokens 0 and 1, and the tap that reads the next token. *)
Let two : 'I_1 -> nat := fun=> 1%N.
Let next : 'I_1 -> point 1 := fun=> const_mx 1.
Let image : point 1 -> 'rV[R]_1 := zero_extension (fun _ : token two => const_mx 1).
Let q1 := nearest two 0.
Let q2 := nearest two (const_mx 1).

(* Its head has W_val = 0; the other parameters do not matter. *)
Let heads (_ : 'I_1) : head R 1 1 1 1 1 := Head 0 0 0 0 0 0 0.

Lemma layer_half encode (X : token two -> 'rV[R]_1) q :
  self_attention E heads (const_mx 2%:R^-1) encode X q 0 0 = 2%:R^-1.
Proof. by rewrite /self_attention /attention big_ord1 mulmx0 addr0 mxE. Qed.

Lemma padded_next (t : point 1) :
  convolution next (fun=> 1%:M) 0 image t 0 0 = (on_canvas two (t + const_mx 1))%:R.
Proof.
rewrite /convolution big_ord1 add0r mulmx1 /image /zero_extension.
by case: ifP; rewrite mxE.
Qed.

Theorem refuted : ~ wrong_by 1%:R.
Proof.
move=> /(_ _ two _ _ _ _ _ _ _ heads (const_mx 2%:R^-1) 0 (fun=> 0) next (fun=> 1%:M)).
move=> /(_ (const_mx 1) q1 q2 0) /=; apply/negP.
have on1 : on_canvas two (const_mx 1) by apply/forallP => a; rewrite mxE.
have on0 : on_canvas two 0 by apply/forallP => a; rewrite mxE.
have off2 : ~~ on_canvas two (const_mx 1 + const_mx 1).
  by apply/forallPn; exists 0; rewrite !mxE.
rewrite !layer_half !padded_next !position_nearest// add0r on1 (negPf off2).
rewrite -ltNge !subr0 normr1 divr1 lt_maxl.
have half_gt0 : 0 < 2%:R^-1 :> R by rewrite invr_gt0 ltr0n.
have half_lt1 : 2%:R^-1 < 1 :> R by rewrite invf_lt1 ?ltr1n ?ltr0n.
by rewrite distrC !gtr0_norm ?subr_gt0// ltr_subl_addr ltr_addl half_gt0.
Qed.

Theorem whole_difference : wrong_by 1%:R.
Proof. by move=> *; rewrite self_attention_scored; apply: no_zero_padding. Qed.

End Control.
