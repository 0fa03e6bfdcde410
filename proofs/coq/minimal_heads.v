(******************************************************************************)
(* How many heads a convolution takes, if the scores are free.                *)
(*                                                                            *)
(* In words. A table head has a real score s(tap) for every tap of the window *)
(* and attends, from a query at q, to the tokens q + Delta tap alone; its     *)
(* score elsewhere is minus infinity. On a window that lies on the canvas its *)
(* probabilities are the softmax of s over the taps     table_probability_tap *)
(* Each head h multiplies the mean that it attends to by a matrix M_h (its    *)
(* W_val W_out); heads and a bias add up                      table_attention *)
(* Every window lies on some canvas                          inside_somewhere *)
(*                                                                            *)
(* Let rho be the dimension of the span of the matrices W of the taps, that   *)
(* is the rank of their unfolding, which has one row for each tap. Then       *)
(*   - rho + 1 heads suffice: there are scores and matrices with which table  *)
(*     attention equals the convolution exactly, on every canvas, for every   *)
(*     image, at every query whose window lies on the canvas    heads_suffice *)
(*   - rho heads are needed, whatever their probabilities are, as long as     *)
(*     these do not depend on the image; one query is enough     heads_needed *)
(*   - a kernel of multiples of one matrix (Sobel, Laplace) takes two heads,  *)
(*     at most                                                      two_heads *)
(*   - positive multiples (box, Gaussian blur) take one head         one_head *)
(*   - so the one more cannot be saved in general: rho table heads (here      *)
(*     rho = 1) do not express multiples of both signs of one matrix          *)
(*                                                                rho_too_few *)
(*   - if the softmax runs over all tokens, with the score - alpha off the    *)
(*     window, then the error of the rho + 1 heads vanishes as alpha grows,   *)
(*     uniformly over bounded images and canvases of bounded size             *)
(*                                            full_limit, heads_suffice_limit *)
(* The reason for the one more: probabilities are positive. So a head r takes *)
(* f_r + g instead of its coefficients f_r, with g > |f_r| for all r, and one *)
(* head, shared by all r, takes g off again                       shared_head *)
(* All that is asked of the exponential, beyond softmax.v, is that positive   *)
(* numbers have a logarithm (E_onto).                                         *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding layers.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* The matrices of the taps, one a row; its rank is rho. *)
Section Unfolding.
Variables (F : fieldType) (cin cout : nat) (T : finType).
Variable W : T -> 'M[F]_(cin, cout).

Definition unfolding : 'M[F]_(#|T|, cin * cout) :=
  \matrix_i mxvec (W (enum_val i)).

Definition rho := \rank unfolding.

(* Coefficients f and matrices B: each W is a combination of rho matrices. *)
Lemma unfolding_span :
  exists (f : 'I_rho -> T -> F) (B : 'I_rho -> 'M[F]_(cin, cout)),
    forall tap, W tap = \sum_r f r tap *: B r.
Proof.
exists (fun r tap => col_base unfolding (enum_rank tap) r).
exists (fun r => vec_mx (row r (row_base unfolding))) => tap.
have := congr1 (row (enum_rank tap)) (mulmx_base unfolding).
rewrite rowK enum_rankK => /(congr1 vec_mx); rewrite mxvecK => <-.
rewrite row_mul mulmx_sum_row linear_sum; apply: eq_bigr => r _.
by rewrite linearZ mxE.
Qed.

(* If each W is a combination of the M h, then there are rho of them, or more. *)
Lemma span_unfolding (H : finType) (p : H -> T -> F) (M : H -> 'M[F]_(cin, cout)) :
  (forall tap, W tap = \sum_h p h tap *: M h) -> (rho <= #|H|)%N.
Proof.
move=> span; pose P := \matrix_(i < #|T|, j < #|H|) p (enum_val j) (enum_val i).
pose N := \matrix_(j < #|H|) mxvec (M (enum_val j)).
suff -> : rho = \rank (P *m N) by rewrite (leq_trans (mxrankM_maxl _ _)) ?rank_leq_col.
congr (\rank _); apply/row_matrixP => i.
rewrite rowK row_mul mulmx_sum_row span linear_sum.
rewrite (reindex _ (onW_bij _ (enum_val_bij H))).
by apply: eq_bigr => j _; rewrite linearZ /= rowK !mxE.
Qed.

End Unfolding.

Section Tables.
Variables (R : realFieldType) (E : exponential R).
Variables (d : nat) (T : finType) (Delta : T -> point d).
Implicit Types (s : T -> R).

(* The window of a query lies on the canvas. *)
Definition inside (m : 'I_d -> nat) (q : point d) :=
  forall tap, on_canvas m (q + Delta tap).

(* The token that a tap reads. *)
Definition read (m : 'I_d -> nat) q tap : token m := nearest m (q + Delta tap).

(* Off the window the sum is empty: the weight is zero, the score -oo. *)
Definition table_weight s (m : 'I_d -> nat) q (k : token m) : R :=
  \sum_(tap | position k == q + Delta tap) E (s tap).

Definition table_probability s (m : 'I_d -> nat) q : token m -> R :=
  normalised (table_weight s q).

(* Every window lies on a canvas, if that is large enough. *)
Lemma inside_somewhere : exists (m : 'I_d -> nat) (q : point d), inside m q.
Proof.
pose r a := (\sum_tap `|Delta tap ord0 a|)%N.
exists (fun a => r a + r a)%N, (\row_a (r a)%:Z) => tap; apply/forallP => a.
have : (`|Delta tap ord0 a| <= r a)%N by rewrite /r (bigD1 tap)//= leq_addr.
rewrite !mxE PoszD ler_add2l -lez_nat abszE ler_norml => /andP[ge_ le_].
by rewrite le_ -ler_subl_addl sub0r ge_.
Qed.

Section Inside.
Variables (m : 'I_d -> nat) (q : point d).
Hypothesis q_inside : inside m q.

Lemma position_read tap (k : token m) :
  (position k == q + Delta tap) = (k == read m q tap).
Proof.
apply/eqP/eqP => [k_at|->]; last exact: position_nearest (q_inside tap).
by rewrite /read -k_at nearest_position.
Qed.

(* Sums over the tokens are sums over the taps. *)
Lemma sum_window (V : lmodType R) (w : T -> R) (F : token m -> V) :
  \sum_(k : token m) (\sum_(tap | position k == q + Delta tap) w tap) *: F k
  = \sum_tap w tap *: F (read m q tap).
Proof.
under [LHS]eq_bigr do rewrite scaler_suml.
rewrite (exchange_big_dep xpredT) //=; apply: eq_bigr => tap _.
by rewrite (eq_bigl _ _ (position_read tap)) big_pred1_eq.
Qed.

Lemma table_weight_sum s :
  \sum_(k : token m) table_weight s q k = \sum_tap E (s tap).
Proof.
have := sum_window (fun tap => E (s tap)) (fun=> 1 : R^o).
rewrite (eq_bigr (table_weight s q)) => [->|k _]; last exact: mulr1.
by apply: eq_bigr => tap _; apply: mulr1.
Qed.

Lemma read_inj : injective Delta -> injective (read m q).
Proof.
move=> Delta_inj tap tap' /(congr1 (@position _ m)).
rewrite !(position_nearest (q_inside _)).
by move/addrI/Delta_inj.
Qed.

(* A table head on the window is a softmax over the taps. *)
Theorem table_probability_tap s tap :
  injective Delta -> table_probability s q (read m q tap) = softmax E s tap.
Proof.
move=> Delta_inj; rewrite /table_probability /normalised table_weight_sum.
congr (_ / _); apply: (big_pred1 tap) => tap'.
by rewrite position_read (inj_eq (read_inj Delta_inj)) eq_sym.
Qed.

End Inside.

Section Heads.
Variables (cin cout : nat).
Implicit Types (W : T -> 'M[R]_(cin, cout)) (bias : 'rV[R]_cout).

(* What a table head hands on, before its matrix. *)
Definition table_mean s (m : 'I_d -> nat) (X : token m -> 'rV[R]_cin) q :=
  \sum_k table_probability s q k *: X k.

Definition table_attention (H : finType) (s : H -> T -> R)
    (M : H -> 'M[R]_(cin, cout)) bias (m : 'I_d -> nat)
    (X : token m -> 'rV[R]_cin) q : 'rV[R]_cout :=
  bias + \sum_h table_mean (s h) X q *m M h.

(* Heads express a kernel: their scores and matrices, given once, equal the   *)
(* convolution on every canvas, for every image, at every query inside.       *)
Definition express (H : finType) (s : H -> T -> R) (M : H -> 'M[R]_(cin, cout)) W :=
  forall (m : 'I_d -> nat) bias (X : token m -> 'rV[R]_cin) q, inside m q ->
    table_attention s M bias X q
    = convolution Delta W bias (nearest_extension X) q.

Lemma table_meanE s (m : 'I_d -> nat) (X : token m -> 'rV[R]_cin) q :
  inside m q -> table_mean s X q = \sum_tap softmax E s tap *: X (read m q tap).
Proof.
move=> q_inside; rewrite /table_mean /table_probability /softmax /normalised.
rewrite table_weight_sum//; set S := (\sum_tap _)^-1.
under eq_bigr do rewrite [_ / _]mulrC -scalerA.
under [RHS]eq_bigr do rewrite [_ / _]mulrC -scalerA.
by rewrite -!scaler_sumr -sum_window.
Qed.

(* The kernel of given heads is a combination of their matrices. *)
Lemma table_express (H : finType) (s : H -> T -> R) (M : H -> 'M[R]_(cin, cout)) W :
  (forall tap, W tap = \sum_h softmax E (s h) tap *: M h) -> express s M W.
Proof.
move=> W_is m bias X q q_inside; congr (_ + _).
under eq_bigr do rewrite table_meanE// mulmx_suml.
rewrite exchange_big; apply: eq_bigr => tap _; rewrite W_is mulmx_sumr.
by apply: eq_bigr => h _; rewrite -scalemxAl -scalemxAr.
Qed.

(* Conversely: fixed probabilities show in the kernel. *)
Lemma kernel_of_heads (H : finType) (m : 'I_d -> nat) (p : H -> token m -> R)
    (M : H -> 'M[R]_(cin, cout)) W b bias q :
  injective Delta -> inside m q ->
  (forall X : token m -> 'rV[R]_cin,
     b + \sum_h (\sum_k p h k *: X k) *m M h
     = convolution Delta W bias (nearest_extension X) q) ->
  forall tap, W tap = \sum_h p h (read m q tap) *: M h.
Proof.
move=> Delta_inj q_inside equal tap; apply/row_matrixP => i.
have b_is : b = bias.
  have := equal (fun=> 0); rewrite /convolution !big1 ?addr0// => [tap' _|h _].
    by rewrite mul0mx.
  by rewrite big1 ?mul0mx// => k _; rewrite scaler0.
have := equal (fun k => if k == read m q tap then delta_mx 0 i else 0).
rewrite b_is => /addrI; rewrite [RHS](bigD1 tap)//= /nearest_extension eqxx -rowE.
rewrite [X in _ + X]big1 ?addr0 => [<-|tap' /negPf tap'_neq]; last first.
  by rewrite (inj_eq (read_inj q_inside Delta_inj)) tap'_neq mul0mx.
rewrite linear_sum; apply: eq_bigr => h _.
rewrite (bigD1 (read m q tap))//= eqxx big1 ?addr0 => [|k /negPf ->].
  by rewrite -scalemxAl -rowE linearZ.
by rewrite scaler0.
Qed.

Theorem heads_needed (H : finType) (m : 'I_d -> nat) (p : H -> token m -> R)
    (M : H -> 'M[R]_(cin, cout)) W b bias q :
  injective Delta -> inside m q ->
  (forall X : token m -> 'rV[R]_cin,
     b + \sum_h (\sum_k p h k *: X k) *m M h
     = convolution Delta W bias (nearest_extension X) q) ->
  (rho W <= #|H|)%N.
Proof.
by move=> Delta_inj q_inside /(kernel_of_heads Delta_inj q_inside)/span_unfolding.
Qed.

(* The matrices W are multiples of one, of both signs, so that rho = 1; but   *)
(* probabilities are positive, so one table head gives multiples of one sign. *)
Theorem rho_too_few (f : T -> R) (B : 'M[R]_(cin, cout)) W tap tap' :
  injective Delta -> B != 0 -> (forall t, W t = f t *: B) ->
  0 < f tap -> f tap' < 0 ->
  ~ exists (s : 'I_(rho W) -> T -> R) (M : 'I_(rho W) -> 'M[R]_(cin, cout)),
      express s M W.
Proof.
move=> Delta_inj /negPf B_neq0 W_is f_gt0 f_lt0 [s [M sM]].
have rho_le : (rho W <= 1)%N.
  rewrite -[1%N]card_ord (@span_unfolding _ _ _ _ _ _ (fun=> f) (fun=> B))// => t.
  by rewrite big_ord1.
have [m [q q_inside]] := inside_somewhere.
have fB t : f t *: B = \sum_h softmax E (s h) t *: M h.
  rewrite -W_is (kernel_of_heads Delta_inj q_inside (fun X => sM m 0 X q q_inside)).
  by apply: eq_bigr => h _; rewrite table_probability_tap.
case: (rho W) rho_le s M fB {sM} => [|[|//]] _ s M fB.
  move: (fB tap); rewrite big_ord0 => /eqP.
  by rewrite scaler_eq0 B_neq0 gt_eqF.
pose p := softmax E (s ord0); have p_gt0 t : 0 < p t by apply: softmax_gt0.
have /eqP : (p tap' * f tap) *: B = (p tap * f tap') *: B.
  by rewrite -!scalerA !fB !big_ord1 !scalerA mulrC.
rewrite -subr_eq0 -scalerBl scaler_eq0 B_neq0 orbF gt_eqF//.
have negative : p tap * f tap' < 0 by rewrite pmulr_rlt0 ?p_gt0.
by rewrite subr_gt0 (lt_trans negative)// mulr_gt0 ?p_gt0.
Qed.

Hypothesis E_onto : forall y, 0 < y -> exists x, E x = y.

(* Positive coefficients are probabilities, up to a factor of the head. *)
Lemma positive_heads (H : finType) (w : H -> T -> R) (C : H -> 'M[R]_(cin, cout)) W :
  (forall h tap, 0 < w h tap) -> (forall tap, W tap = \sum_h w h tap *: C h) ->
  exists (s : H -> T -> R) (M : H -> 'M[R]_(cin, cout)), express s M W.
Proof.
move=> w_gt0 W_is.
have [s s_log] : exists s : H -> T -> R, forall h tap, E (s h tap) = w h tap.
  apply: (@fin_all_exists _ _ (fun h s => forall tap, E (s tap) = w h tap)) => h.
  by apply: (@fin_all_exists _ _ (fun tap x => E x = w h tap)) => tap; apply: E_onto.
exists s, (fun h => (\sum_tap w h tap) *: C h); apply: table_express => tap.
rewrite W_is; apply: eq_bigr => h _; rewrite scalerA; congr (_ *: _).
rewrite /softmax /normalised (eq_bigr _ (fun t _ => s_log h t)) s_log mulfVK//.
by rewrite gt_eqF// (weights_gt0 tap).
Qed.

(* Here unlift ord0 h is r for the head h = lift ord0 r, and nothing for the  *)
(* head ord0, the shared one: oapp picks between f_r and 0, B_r and the rest. *)
Theorem shared_head n (f : 'I_n -> T -> R) (B : 'I_n -> 'M[R]_(cin, cout)) W :
  (forall tap, W tap = \sum_r f r tap *: B r) ->
  exists (s : 'I_n.+1 -> T -> R) (M : 'I_n.+1 -> 'M[R]_(cin, cout)), express s M W.
Proof.
move=> W_is; pose g tap := 1 + \sum_r `|f r tap|.
pose w h tap := g tap + oapp (f^~ tap) 0 (unlift ord0 h).
pose C h := oapp B (- \sum_r B r) (unlift ord0 h).
apply: (@positive_heads _ w C) => [h tap|tap].
  rewrite /w /g -addrA ltr_paddr//; case: unliftP => [r _|_] /=; last first.
    by rewrite addr0 sumr_ge0.
  rewrite (bigD1 r)//= addrAC addr_ge0 ?sumr_ge0//.
  by rewrite -ler_subl_addr sub0r ler_normr lexx orbT.
rewrite big_ord_recl /w /C unlift_none /= addr0 W_is.
under [X in _ = _ + X]eq_bigr do rewrite liftK /= scalerDl.
by rewrite big_split /= -scaler_sumr addrA scalerN addNr add0r.
Qed.

Theorem heads_suffice W :
  exists (s : 'I_(rho W).+1 -> T -> R) (M : 'I_(rho W).+1 -> 'M[R]_(cin, cout)),
    express s M W.
Proof. by have [f [B W_is]] := unfolding_span W; apply: (shared_head W_is). Qed.

Corollary two_heads (f : T -> R) (B : 'M[R]_(cin, cout)) W :
  (forall tap, W tap = f tap *: B) ->
  exists (s : 'I_2 -> T -> R) (M : 'I_2 -> 'M[R]_(cin, cout)), express s M W.
Proof.
move=> W_is; apply: (@shared_head 1 (fun=> f) (fun=> B)) => tap.
by rewrite big_ord1.
Qed.

Corollary one_head (f : T -> R) (B : 'M[R]_(cin, cout)) W :
  (forall tap, 0 < f tap) -> (forall tap, W tap = f tap *: B) ->
  exists (s : 'I_1 -> T -> R) (M : 'I_1 -> 'M[R]_(cin, cout)), express s M W.
Proof.
move=> f_gt0 W_is; apply: (@positive_heads _ (fun=> f) (fun=> B)) => // tap.
by rewrite big_ord1.
Qed.

End Heads.

Section Limit.
Variables (cin cout : nat).

(* The same scores in a softmax over all tokens, with - alpha off the window. *)
Definition full_score (alpha : R) s (m : 'I_d -> nat) q (k : token m) : R :=
  if [pick tap | position k == q + Delta tap] is Some tap then s tap else - alpha.

Definition full_attention (H : finType) alpha (s : H -> T -> R)
    (M : H -> 'M[R]_(cin, cout)) bias (m : 'I_d -> nat)
    (X : token m -> 'rV[R]_cin) q : 'rV[R]_cout :=
  bias + \sum_h (\sum_k softmax E (full_score alpha (s h) q) k *: X k) *m M h.

(* Weights w of sum S that get a little more, l of sum L. *)
Lemma added_weights (K : finType) (w l x : K -> R) B
    (S := \sum_k w k) (L := \sum_k l k) :
  (forall k, 0 <= w k) -> (forall k, 0 <= l k) -> 0 < S -> (forall k, `|x k| <= B) ->
  `|\sum_k normalised (fun j => w j + l j) k * x k - \sum_k normalised w k * x k|
  <= L / S * B *+ 2.
Proof.
move=> w_ge0 l_ge0 S_gt0 x_le; rewrite -sumrB.
have L_ge0 : 0 <= L by apply: sumr_ge0.
have SL_gt0 : 0 < S + L by rewrite ltr_paddr.
have S_le : (S + L)^-1 <= S^-1 by rewrite lef_pinv ?ler_addl.
apply: (@le_trans _ _ (\sum_k (l k / S + w k * (L / S / S)) * B)).
  apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => k _.
  rewrite -mulrBl normrM ler_pmul//.
  have -> : normalised (fun j => w j + l j) k - normalised w k
      = l k / (S + L) - w k * (L / S / (S + L)).
    rewrite /normalised big_split /= -/S -/L [(_ + _) / _]mulrDl.
    rewrite [w k / _ + _]addrC -addrA -mulrBr -mulrN; congr (_ + _ * _).
    apply: (mulIf (lt0r_neq0 SL_gt0)); rewrite mulrBl mulVf ?lt0r_neq0//.
    by rewrite mulNr mulfVK ?lt0r_neq0// mulrDr mulVf ?lt0r_neq0// opprD addNKr mulrC.
  have LS_ge0 : 0 <= L / S by rewrite divr_ge0// ltW.
  apply: le_trans (ler_norm_sub _ _) _; rewrite !ger0_norm.
  - by rewrite ler_add// ?ler_wpmul2l// mulr_ge0.
  - by rewrite !mulr_ge0// invr_ge0 ltW.
  - by rewrite mulr_ge0// invr_ge0 ltW.
rewrite -mulr_suml big_split -!mulr_suml /= -/S -/L mulrC.
by rewrite [S * _]mulrC mulfVK ?lt0r_neq0// -mulr2n mulrnAr mulrC.
Qed.

Hypothesis Delta_inj : injective Delta.

Lemma full_weight alpha s (m : 'I_d -> nat) q (k : token m) :
  E (full_score alpha s q k)
  = table_weight s q k
    + E (- alpha) * [forall tap, position k != q + Delta tap]%:R.
Proof.
rewrite /full_score /table_weight; case: pickP => [tap /eqP k_at|off].
  have -> : [forall tap, position k != q + Delta tap] = false.
    by apply/negbTE/forallPn; exists tap; rewrite negbK k_at.
  rewrite mulr0 addr0 (big_pred1 tap)// => tap'.
  by rewrite k_at (inj_eq (addrI q)) (inj_eq Delta_inj) eq_sym.
rewrite big_pred0// add0r; suff -> : [forall tap, position k != q + Delta tap].
  by rewrite mulr1.
by apply/forallP => tap; rewrite off.
Qed.

(* The error of one head. *)
Lemma full_mean alpha s (m : 'I_d -> nat) q (X : token m -> 'rV[R]_cin) N B i
    (tap0 : T) :
  inside m q -> (tokens m <= N)%N -> bounded B X ->
  `|(\sum_k softmax E (full_score alpha s q) k *: X k) 0 i - table_mean s X q 0 i|
  <= E (- alpha) * (N%:R / (\sum_tap E (s tap)) * B *+ 2).
Proof.
move=> q_inside tokens_le X_le; have e_ge0 := ltW (expo_gt0 E (- alpha)).
have S_gt0 : 0 < \sum_tap E (s tap).
  by rewrite (weights_gt0 tap0)// => tap; apply: expo_gt0.
have B_ge0 : 0 <= B by apply: le_trans (X_le (nearest m 0) i).
pose off (k : token m) : R :=
  E (- alpha) * [forall tap, position k != q + Delta tap]%:R.
have := @added_weights _ (table_weight s q) off (fun k => X k 0 i) B.
rewrite table_weight_sum// !summxE => /(_ _ _ S_gt0) bound.
under eq_bigr do rewrite mxE /softmax (eq_normalised _ (full_weight alpha s q)).
under [X in _ - X]eq_bigr do rewrite mxE.
apply: le_trans (bound _ _ _) _ => [k|k|k|].
- by rewrite sumr_ge0// => tap _; rewrite ltW ?expo_gt0.
- by rewrite /off mulr_ge0 ?ler0n.
- exact: X_le.
rewrite -!mulrnAr !mulrA ler_wpmul2r ?mulrn_wge0// ler_wpmul2r ?invr_ge0 ?(ltW S_gt0)//.
rewrite -mulr_sumr ler_wpmul2l// -natr_sum ler_nat (leq_trans _ tokens_le)//.
by rewrite /tokens -sum1_card leq_sum// => k _; case: forallP.
Qed.

(* The full softmax tends to the table: sharper off the window, nearer to it. *)
Theorem full_limit (H : finType) (s : H -> T -> R) (M : H -> 'M[R]_(cin, cout))
    N B eps (tap0 : T) :
  0 <= B -> 0 < eps ->
  exists alpha0, forall alpha, alpha0 <= alpha ->
    forall (m : 'I_d -> nat) bias (X : token m -> 'rV[R]_cin) q o,
      (tokens m <= N)%N -> inside m q -> bounded B X ->
      `|full_attention alpha s M bias X q 0 o
        - table_attention s M bias X q 0 o| <= eps.
Proof.
move=> B_ge0 eps_gt0.
pose c h := N%:R / (\sum_tap E (s h tap)) * B *+ 2.
pose C := \sum_h \sum_i \sum_o c h * `|M h i o|.
have c_ge0 h : 0 <= c h.
  rewrite mulrn_wge0// mulr_ge0// divr_ge0 ?ler0n// sumr_ge0// => tap _.
  by rewrite ltW ?expo_gt0.
have C_ge0 : 0 <= C.
  by do 3![apply: sumr_ge0 => ? _]; rewrite mulr_ge0 ?c_ge0.
have C1_gt0 : 0 < 1 + C by rewrite ltr_paddr ?ltr01.
have [alpha0 far] := expo_vanishes E (divr_gt0 eps_gt0 C1_gt0).
exists alpha0 => alpha /far e_le m bias X q o tokens_le q_inside X_le.
have e_ge0 := ltW (expo_gt0 E (- alpha)).
apply: (@le_trans _ _ (E (- alpha) * C)); last first.
  apply: le_trans (ler_wpmul2r C_ge0 e_le) _.
  by rewrite mulrAC ler_pdivr_mulr// (ler_wpmul2l (ltW eps_gt0))// ler_addr ler01.
rewrite !mxE opprD addrACA subrr add0r !summxE -sumrB mulr_sumr.
apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => h _.
rewrite !mxE -sumrB mulr_sumr.
apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => i _.
rewrite -mulrBl normrM (bigD1 o)//= mulrDr mulrA ler_paddr//.
  by rewrite mulr_ge0// sumr_ge0// => ? _; rewrite mulr_ge0.
by rewrite ler_wpmul2r// full_mean.
Qed.

Hypothesis E_onto : forall y, 0 < y -> exists x, E x = y.

Corollary heads_suffice_limit (W : T -> 'M[R]_(cin, cout)) (tap0 : T) :
  exists (s : 'I_(rho W).+1 -> T -> R) (M : 'I_(rho W).+1 -> 'M[R]_(cin, cout)),
    forall N B eps, 0 <= B -> 0 < eps ->
    exists alpha0, forall alpha, alpha0 <= alpha ->
      forall (m : 'I_d -> nat) bias (X : token m -> 'rV[R]_cin) (q : point d) o,
        (tokens m <= N)%N -> (forall tap, on_canvas m (q + Delta tap)) ->
        bounded B X ->
        `|full_attention alpha s M bias X q 0 o
          - convolution Delta W bias (nearest_extension X) q 0 o| <= eps.
Proof.
have [s [M sM]] := heads_suffice E_onto W; exists s, M => N B eps.
move=> B_ge0 eps_gt0; have [alpha0 near] := full_limit s M N tap0 B_ge0 eps_gt0.
exists alpha0 => alpha /near bound m bias X q o tokens_le q_inside X_le.
by rewrite -sM// bound.
Qed.

End Limit.
End Tables.
