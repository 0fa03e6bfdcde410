(******************************************************************************)
(* The main theorem: attention expresses convolution.                         *)
(*                                                                            *)
(* In words. Take any convolution: any taps, with centers anywhere on the     *)
(* grid, any channels, any bias. Take the attention layer with one head for   *)
(* each tap and strength alpha (tap_heads in layers.v), e = exp(- alpha), any *)
(* canvas, and any image with |X| <= B. Read off the canvas, the image is     *)
(* continued by its nearest token. Then at every query and in every output    *)
(* channel                                                                    *)
(*   |attention - convolution| <= sum |W| * 2 B * leak        attention_error *)
(* where the leak is at most (N - 1) e and at most 2 d e / (1 + e)            *)
(*                       attention_error_tokens, attention_error_any_size     *)
(* Hence, as alpha grows, attention converges to the convolution, uniformly:  *)
(* one alpha serves all canvases, images bounded by B, queries and channels   *)
(*                                                        attention_converges *)
(* And there are parameters that express a given convolution as closely as    *)
(* one likes, with values of no more dimensions than the matrices of the taps *)
(* have rank                                    attention_expresses_convolution *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding layers smoothing leak.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* Smoothing moves a value by no more than twice the bound, times the leak.   *)
Section Smoothed.
Variables (R : realFieldType) (E : exponential R) (d : nat) (m : 'I_d -> nat).
Variables (cin : nat) (alpha B : R) (X : token m -> 'rV[R]_cin).
Hypothesis X_le : bounded B X.

Lemma smoothing_error (t : point d) i :
  `|(smoothing E alpha X (real R t) - nearest_extension X t) 0 i|
  <= 2%:R * B * leak (E (- alpha)) m t.
Proof.
set c := nearest m t; pose p := gaussian (m := m) E alpha (real R t).
have p_sum1 : \sum_k p k = 1 by apply: gaussian_sum1.
have -> : smoothing E alpha X (real R t) - nearest_extension X t
    = \sum_(k | k != c) p k *: (X k - X c).
  rewrite /smoothing -[X in _ - X]scale1r -p_sum1 scaler_suml -sumrB.
  rewrite (bigD1 c)//= subrr add0r.
  by apply: eq_bigr => k _; rewrite scalerBr.
have -> : leak (E (- alpha)) m t = \sum_(k | k != c) p k.
  rewrite -(off_target (expo_gt0 E _)); apply: eq_bigr => k _.
  by rewrite -probability_powers.
rewrite summxE mulr_sumr; apply: le_trans (ler_norm_sum _ _ _) _.
have p_ge0 k : 0 <= p k by rewrite ltW ?softmax_gt0.
apply: ler_sum => k _; rewrite !mxE normrM mulrC (ger0_norm (p_ge0 k)).
apply: ler_wpmul2r => //.
by rewrite mulr_natl mulr2n (le_trans (ler_norm_sub _ _))// ler_add.
Qed.

End Smoothed.

(* A convolution passes errors on, weighted by its taps.                      *)
Lemma convolution_error (R : realFieldType) (P : zmodType) (T : finType) cin cout
    (Delta : T -> P) (W : T -> 'M[R]_(cin, cout)) bias
    (F G : P -> 'rV[R]_cin) (eps : T -> R) q o :
    (forall tap i, `|(F (q + Delta tap) - G (q + Delta tap)) 0 i| <= eps tap) ->
  `|(convolution Delta W bias F q - convolution Delta W bias G q) 0 o|
  <= \sum_tap (\sum_i `|W tap i o|) * eps tap.
Proof.
move=> close; rewrite /convolution opprD addrACA subrr add0r -sumrB summxE.
apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => tap _.
rewrite -mulmxBl mxE mulr_suml; apply: le_trans (ler_norm_sum _ _ _) _.
apply: ler_sum => i _; rewrite normrM mulrC.
by apply: ler_wpmul2l; rewrite ?close.
Qed.

Section MainTheorem.
Variables (R : realFieldType) (E : exponential R).
Variables (d cin cout Dh : nat) (T : finType) (Delta : T -> point d).
Variables (Wval : T -> 'M[R]_(cin, Dh)) (Wout : T -> 'M[R]_(Dh, cout)).
Variables (u : 'rV[R]_(1 + d)) (bias : 'rV[R]_cout).

Let W tap := Wval tap *m Wout tap.

(* The layer, for a query at any point and of any content.                    *)
Definition conv_attention (alpha : R) (m : 'I_d -> nat) (X : token m -> 'rV[R]_cin)
    (x_q : 'rV[R]_cin) (q : point d) : 'rV[R]_cout :=
  attention E (tap_heads alpha (fun tap => real R (Delta tap)) Wval Wout u) bias X x_q
    (fun k => encoding (real R (position k) - real R q)).

Lemma conv_attention_smoothing alpha m (X : token m -> 'rV[R]_cin) x_q q :
  conv_attention alpha X x_q q
  = convolution Delta W bias (fun t => smoothing E alpha X (real R t)) q.
Proof.
rewrite /conv_attention smoothing_identity; congr (_ + _).
by apply: eq_bigr => tap _; rewrite real_add.
Qed.

(* For the tokens of the canvas it is self-attention. *)
Lemma conv_attention_self alpha m (X : token m -> 'rV[R]_cin) q :
  self_attention E (tap_heads alpha (fun tap => real R (Delta tap)) Wval Wout u) bias
    (fun delta => encoding (real R delta)) X q
  = conv_attention alpha X (X q) (position q).
Proof. by apply: eq_attention => k; rewrite real_sub. Qed.

Section OneCanvas.
Variables (m : 'I_d -> nat) (X : token m -> 'rV[R]_cin) (B alpha : R).
Hypotheses (X_le : bounded B X) (alpha_gt0 : 0 < alpha).
Variables (x_q : 'rV[R]_cin) (q : point d) (o : 'I_cout).

Let e := E (- alpha).

Let e_gt0 : 0 < e := expo_gt0 E (- alpha).

Let e_lt1 : e < 1.
Proof. by rewrite expo_lt1// oppr_lt0. Qed.

Let error := `|(conv_attention alpha X x_q q
               - convolution Delta W bias (nearest_extension X) q) 0 o|.

Theorem attention_error :
  error <= \sum_tap (\sum_i `|W tap i o|) * (2%:R * B * leak e m (q + Delta tap)).
Proof.
rewrite /error conv_attention_smoothing; apply: convolution_error => tap i.
exact: smoothing_error.
Qed.

Lemma attention_error_leak (largest : R) :
    (forall t, leak e m t <= largest) ->
  error <= weight_sum W o * (2%:R * B * largest).
Proof.
move=> leak_le; apply: le_trans attention_error _.
rewrite mulr_suml; apply: ler_sum => tap _.
rewrite !mulr_suml; apply: ler_sum => i _; apply: ler_wpmul2l => //.
apply: ler_wpmul2l; last exact: leak_le.
by rewrite mulr_ge0 ?ler0n// (le_trans _ (X_le (nearest m 0) i)).
Qed.

Theorem attention_error_tokens :
  error <= weight_sum W o * (2%:R * B * ((tokens m).-1%:R * e)).
Proof. by apply: attention_error_leak => t; apply: leak_tokens. Qed.

Theorem attention_error_any_size :
  error <= weight_sum W o * (2%:R * B * leak_bound e d).
Proof. by apply: attention_error_leak => t; apply: leak_any_size. Qed.

End OneCanvas.

Theorem attention_converges (B eps : R) : 0 <= B -> 0 < eps ->
  exists alpha0, forall alpha, alpha0 <= alpha ->
  forall m (X : token m -> 'rV[R]_cin), bounded B X ->
  forall x_q q o,
  `|(conv_attention alpha X x_q q
     - convolution Delta W bias (nearest_extension X) q) 0 o| <= eps.
Proof.
move=> B_ge0 eps_gt0.
pose S := \sum_o weight_sum W o; pose C := S * (2%:R * B * (2 * d)%:R).
have S_ge o : weight_sum W o <= S.
  rewrite /S (bigD1 o)//= ler_addl; apply: sumr_ge0 => o' _.
  by apply: sumr_ge0 => tap _; apply: sumr_ge0.
have S_ge0 : 0 <= S.
  by apply: sumr_ge0 => o _; apply: sumr_ge0 => tap _; apply: sumr_ge0.
have C_ge0 : 0 <= C by rewrite mulr_ge0// !mulr_ge0 ?ler0n.
have C1_gt0 : 0 < C + 1 by rewrite (le_lt_trans C_ge0)// ltr_addl.
have [a small] := expo_vanishes E (divr_gt0 eps_gt0 C1_gt0).
exists (Num.max a 1) => alpha; rewrite le_maxl => /andP[a_le one_le].
move=> m X X_le x_q q o; have alpha_gt0 := lt_le_trans ltr01 one_le.
set e := E (- alpha); have e_gt0 : 0 < e := expo_gt0 E _.
have e_lt1 : e < 1 by rewrite expo_lt1// oppr_lt0.
have leak_le t : leak e m t <= (2 * d)%:R * e by apply: leak_saturation.
apply: le_trans (attention_error_leak X_le _ _ _ leak_le) _.
apply: (@le_trans _ _ (C * e)).
  rewrite /C -[S * _ * e]mulrA -[2%:R * B * _ * e]mulrA.
  by apply: ler_wpmul2r (S_ge o); rewrite !mulr_ge0 ?ler0n ?(ltW e_gt0).
apply: (@le_trans _ _ ((C + 1) * e)).
  by apply: ler_wpmul2r; [exact: ltW | rewrite ler_addl ler01].
by rewrite mulrC -ler_pdivl_mulr// small.
Qed.

End MainTheorem.

(* The theorem of Cordonnier, Loukas and Jaggi, for any convolution.          *)
Theorem attention_expresses_convolution (R : realFieldType) (E : exponential R)
    (d cin cout r : nat) (T : finType) (Delta : T -> point d)
    (W : T -> 'M[R]_(cin, cout)) (bias : 'rV[R]_cout) (B eps : R) :
    (forall tap, \rank (W tap) <= r)%N -> 0 <= B -> 0 < eps ->
  exists heads : T -> head R cin (1 + d) (1 + d) r cout,
  forall m (X : token m -> 'rV[R]_cin), bounded B X -> forall q o,
  `|(self_attention E heads bias (fun delta => encoding (real R delta)) X q
     - convolution Delta W bias (nearest_extension X) (position q)) 0 o| <= eps.
Proof.
move=> rank_le B_ge0 eps_gt0.
have /fin_all_exists[Wval /fin_all_exists[Wout factors]] tap :=
  rank_suffices (rank_le tap).
have [alpha close] := attention_converges E Delta Wval Wout 0 bias B_ge0 eps_gt0.
exists (tap_heads alpha (fun tap => real R (Delta tap)) Wval Wout 0).
move=> m X X_le q o; rewrite conv_attention_self.
apply: le_trans (close alpha (lexx _) m X X_le (X q) (position q) o).
suff -> : convolution Delta (fun tap => Wval tap *m Wout tap) bias
    (nearest_extension X) (position q)
  = convolution Delta W bias (nearest_extension X) (position q) by [].
by congr (_ + _); apply: eq_bigr => tap _; rewrite factors.
Qed.
